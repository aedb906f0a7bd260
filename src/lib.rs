//! A daemon that keeps the credentials of SAP BTP tenants fresh.
