//! A Prometheus of the test's own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{cluster, http, signal, unique, wait_for};

/// A running Prometheus that scrapes one port every second; it ends with the value.
pub struct Prometheus {
    child: Child,
    port: u16,
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the binaries, or the line that says why there is none.
pub fn folder() -> Result<PathBuf, String> {
    let output = Command::new(root().join("tests/deploy/prometheus.sh"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    if said.starts_with("skipped: ") {
        return Err(said);
    }
    assert!(output.status.success(), "{said}");
    Ok(PathBuf::from(said))
}

impl Prometheus {
    /// Sends the token, if there is one, as a deployment's Prometheus does.
    pub fn start(folder: &Path, scraped: &[u16], token: Option<&str>) -> Prometheus {
        let directory = cluster::directory().join(unique("prometheus"));
        fs::create_dir_all(&directory).unwrap();
        let rules = root().join("deploy/prometheus/sequencer.rules.yml");
        let authorization = token.map_or_else(String::new, |token| {
            format!("    authorization: {{credentials: {token}}}\n")
        });
        let targets: Vec<String> = scraped
            .iter()
            .map(|port| format!("\"127.0.0.1:{port}\""))
            .collect();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{}]\n\
             scrape_configs:\n  - job_name: sequencer\n{authorization}    static_configs:\n      \
             - targets: [{}]\n",
            rules.display(),
            targets.join(", ")
        );
        let file = directory.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let log = File::create(directory.join("log")).unwrap();
        let port = http::free_port();
        let mut command = Command::new(folder.join("prometheus"));
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        signal::die_with_this_thread(&mut command);
        let child = command.spawn().unwrap();
        let prometheus = Prometheus { child, port };
        wait_for("Prometheus to be ready", || {
            let (status, _) = prometheus.get("/-/ready")?;
            (status == 200).then_some(())
        });
        prometheus
    }

    /// Values that the expression has now, by series; an error is the test's.
    pub fn query(&self, expression: &str) -> Vec<f64> {
        let path = format!("/api/v1/query?query={}", encode(expression));
        let (_, body) = self.get(&path).unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["status"], "success", "{expression}: {body:#}");
        let series = body["data"]["result"].as_array().unwrap();
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse::<f64>().unwrap();
        series.iter().map(value).collect()
    }

    /// Name, health and state of each alert.
    pub fn alerts(&self) -> Vec<(String, String, String)> {
        let (_, body) = self.get("/api/v1/rules").unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        let groups = body["data"]["groups"].as_array().unwrap();
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        rules
            .map(|rule| {
                (
                    text(&rule["name"]),
                    text(&rule["health"]),
                    text(&rule["state"]),
                )
            })
            .collect()
    }

    /// By the older HTTP, in which answers come in one piece.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
