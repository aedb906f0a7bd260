//! The binary: says where it is, writes what clients need, ends when told.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::client::http;

#[tokio::test]
async fn a_process_plays_a_scenario() {
    let directory = tempfile::tempdir().unwrap();
    let (scenario, out) = (directory.path().join("scenario.toml"), directory.path().join("out"));
    std::fs::write(
        &scenario,
        "[[tenants]]\nid = \"acme\"\n[[tenants]]\nid = \"cert\"\nlogin = \"certificate\"\n",
    )
    .unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_sap-sandbox"))
        .arg("--scenario")
        .arg(&scenario)
        .arg("--out")
        .arg(&out)
        .args(["--kind", "--strict", "--seed", "7"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();

    let mut names = Vec::new();
    for entry in std::fs::read_dir(&out).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    let expected =
        ["acme-dsi.json", "acme-local.json", "acme.json", "ca.pem", "cert-dsi.json", "cert-local.json"];
    assert_eq!(names, [&expected[..], &["cert.json", "cf-password", "cis.json"]].concat());
    let key: Value = serde_json::from_slice(&std::fs::read(out.join("cert-dsi.json")).unwrap()).unwrap();
    assert!(key["oauth"]["tokenurl"].as_str().unwrap().contains("/xsuaa-cert/cert/"));

    let ca = std::fs::read_to_string(out.join("ca.pem")).unwrap();
    let api = ready["cloud_foundry_api"].as_str().unwrap();
    let client = http(&ca, None);
    assert_eq!(client.get(api).send().await.unwrap().status(), 200);
    assert_eq!(client.get(format!("{api}/v2/info")).send().await.unwrap().status(), 400, "it is strict");
    let books = client.get(format!("{}/books", ready["admin"].as_str().unwrap()));
    let books: Value = books.send().await.unwrap().json().await.unwrap();
    assert_eq!((&books["hostile"], &books["improper_requests"]), (&Value::from(false), &Value::from(1)));

    let ended = Command::new("kill").arg(process.id().to_string()).status().unwrap();
    assert!(ended.success());
    assert!(process.wait().unwrap().success());
}
