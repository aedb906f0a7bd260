# One target per job of the CI, so that a person runs what it runs. Each ends with one line that holds its figures.
.PHONY: help demo tutorial test check bench fmt setup coverage storm simulate guards fuzz model kill systemd observe deb dist container kubernetes

help:            ## show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup:           ## install what the tests need (Debian packages), where it is missing
	@deploy/scripts/setup

demo: setup      ## five tenants on the SAP sandbox, from overdue to rotated; KEEP=1 leaves it up
	@deploy/scripts/demo

tutorial: setup  ## every command of docs/tutorial.md, run; SHOW=1 prints what they say
	@deploy/scripts/tutorial

test: setup      ## every test
	@deploy/scripts/test

check: setup     ## format, lints, docs, house rules, alert rules
	@deploy/scripts/check

simulate:        ## deterministic simulation: SEEDS=n fresh ones, or SEED=s replayed with its timeline
	@deploy/scripts/simulate

bench:           ## speed and memory
	@deploy/scripts/bench

storm:           ## 100 000 answers of 429 in virtual time, and no call too early; LIMITED=N for another number
	@deploy/scripts/storm

kill: setup      ## real kills: every reply and write, KILLS=n random moments, power cuts, failing disks, damaged journals
	@deploy/scripts/kill

guards: setup    ## every safety guard taken away once: which test notices; GUARDS="hold soak" for some
	@deploy/scripts/guards $(GUARDS)

fuzz:            ## documented answers, mutated, through every reader; MUTATIONS=N for each, STEPS=N over HTTP
	@deploy/scripts/fuzz

model:           ## every state that faults and people can bring about; ONLY='no POST' for one setup, BUDGET=1 for fewer faults
	@deploy/scripts/model

systemd: setup   ## as a service of a real systemd, in containers of Debian 12 and 13; SUITES=trixie for one of them
	@deploy/scripts/systemd

observe: setup   ## alerts and dashboard of a real rekeyd on Debian's Prometheus and Alertmanager, its pages in Chromium; SUITES=browser for one
	@deploy/scripts/observe

deb: setup       ## the Debian packages, for systemd 253 and later and for Debian 12
	@deploy/scripts/deb

dist:            ## the archive for any Linux of this kind: a static program, its pages, a bill of materials, SHA256SUMS
	@deploy/scripts/dist

container:       ## the container image, built and tried without root on the SAP sandbox
	@deploy/scripts/container

kubernetes:      ## the manifests for Kubernetes, rendered and held against their schemas
	@deploy/scripts/kubernetes

coverage: setup  ## lines of src/domain covered by tests
	@deploy/scripts/coverage

fmt:             ## format everything
	cargo fmt --all
