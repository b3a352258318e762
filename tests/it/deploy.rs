//! What is there to deploy: files that their readers take, and that name only what there is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::alerting::passes;
use crate::servers::Folder;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Holds settings and checks against the program's own eyes.
fn valid(config: &Path, checks: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_allswell"))
        .args(["validate", "--config"])
        .args([config, checks])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {said}", config.display());
}

#[test]
fn the_stack_of_compose_names_only_files_and_parts_that_there_are() {
    let folder = deploy("docker");
    let compose = yaml(&folder.join("compose.yaml"));
    let services = compose["services"].as_object().unwrap();
    assert_eq!(services.len(), 6);
    for (name, service) in services {
        let built = &service["build"];
        if built.is_null() {
            // A release, not whatever is newest today.
            let (_, tag) = text(&service["image"]).rsplit_once(':').unwrap();
            assert!(tag.chars().next_back().unwrap().is_ascii_digit(), "{name}: {tag}");
        } else {
            let context = folder.join(text(&built["context"]));
            assert!(
                context.join("Cargo.toml").is_file()
                    && context.join(text(&built["dockerfile"])).is_file()
            );
        }
        for volume in list(&service["volumes"]) {
            let (from, _) = text(volume).split_once(':').unwrap();
            let there = if from.starts_with('.') {
                folder.join(from).exists()
            } else {
                compose["volumes"].get(from).is_some()
            };
            assert!(there, "{name}: {from}");
        }
        for secret in list(&service["secrets"]) {
            let file = text(&compose["secrets"][text(secret)]["file"]);
            assert!(folder.join(file).is_file(), "{name}: {secret}");
        }
        // Nothing of it is for the network.
        for port in list(&service["ports"]) {
            assert!(text(port).starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
    valid(&folder.join("allswell.yaml"), &folder.join("checks"));
    passes("amtool", &["check-config"], &folder.join("alertmanager.yml"));
    passes("promtool", &["check", "config"], &deploy("prometheus/prometheus.yml"));
}

#[test]
fn the_manifests_of_kubernetes_belong_together() {
    let folder = deploy("kubernetes");
    let kustomization = yaml(&folder.join("kustomization.yaml"));
    let mut kinds = Vec::new();
    for resource in list(&kustomization["resources"]) {
        let manifest = yaml(&folder.join(text(resource)));
        assert!(
            !text(&manifest["apiVersion"]).is_empty()
                && !text(&manifest["metadata"]["name"]).is_empty()
        );
        kinds.push(text(&manifest["kind"]).to_owned());
    }
    assert_eq!(kinds, ["Namespace", "Deployment", "Service", "PodDisruptionBudget"]);
    let maps = list(&kustomization["configMapGenerator"]);
    for map in maps {
        for file in list(&map["files"]) {
            assert!(folder.join(text(file)).is_file(), "{file}");
        }
        // Settings are read at the start only: a change of them has to start new pods, one of checks has not.
        let keeps_its_name = map["options"]["disableNameSuffixHash"] == true;
        assert_eq!(keeps_its_name, map["name"] == "allswell-checks");
    }
    let deployment = yaml(&folder.join("deployment.yaml"));
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    for volume in list(&pod["volumes"]) {
        let map = &volume["configMap"]["name"];
        assert!(map.is_null() || maps.iter().any(|known| known["name"] == *map), "{volume}");
        let mounted = list(&container["volumeMounts"]).iter().any(|m| m["name"] == volume["name"]);
        assert!(mounted, "{volume}");
    }
    let port = &container["ports"][0]["name"];
    for (probe, path) in [("livenessProbe", "/-/healthy"), ("readinessProbe", "/-/ready")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], *port);
    }
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    valid(&folder.join("allswell.yaml"), &folder.join("checks.yaml"));
}

#[test]
fn the_components_of_kubernetes_belong_together_and_carry_the_rules_that_are_printed() {
    let folder = deploy("kubernetes/components");
    let mut kinds = Vec::new();
    for component in ["prometheus-operator", "network-policy"] {
        let folder = folder.join(component);
        let kustomization = yaml(&folder.join("kustomization.yaml"));
        assert_eq!(kustomization["kind"], "Component");
        for resource in list(&kustomization["resources"]) {
            let manifest = yaml(&folder.join(text(resource)));
            kinds.push(text(&manifest["kind"]).to_owned());
            assert_eq!(manifest["metadata"]["name"], "allswell");
            if manifest["kind"] == "PrometheusRule" {
                let printed = yaml(&deploy("prometheus/allswell-rules.yml"));
                assert_eq!(manifest["spec"]["groups"], printed["groups"]);
            }
        }
    }
    assert_eq!(kinds, ["PodMonitor", "PrometheusRule", "NetworkPolicy"]);
    let settings = yaml(&deploy("kubernetes/allswell.yaml"));
    // No public authority signs the names of a cluster: each database names its own.
    for source in [&settings["sources"]["shop"], &settings["ledger"]] {
        assert!(text(&source["url"]).contains("sslrootcert=/etc/allswell/ca.pem"));
    }
}

#[test]
fn the_unit_of_systemd_gives_little_away() {
    let unit = deploy("systemd/allswell.service");
    let output = Command::new(crate::servers::program("systemd-analyze", &["/usr/bin"]))
        .args(["security", "--offline=yes", "--no-pager"])
        .arg(&unit)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let level = said.lines().find(|line| line.contains("Overall exposure level"));
    let level = level.unwrap_or_else(|| panic!("{said}"));
    let (_, level) = level.split_once(": ").unwrap();
    let level: f64 = level.split(' ').next().unwrap().parse().unwrap();
    assert!(level <= 1.5, "{said}");
    let lines = fs::read_to_string(&unit).unwrap();
    assert!(
        lines.contains("\nRestartPreventExitStatus=64\n"),
        "what is not valid is not started again"
    );
    // What systemd does not know it would pass over.
    let folder = Folder::new("unit");
    let text = fs::read_to_string(&unit).unwrap().replace("/usr/local/bin/allswell", "/bin/true");
    let copy = folder.path().join("allswell.service");
    fs::write(&copy, text).unwrap();
    let output = Command::new(crate::servers::program("systemd-analyze", &["/usr/bin"]))
        .args(["verify", "--man=no"])
        .arg(&copy)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("allswell.service:"), "{said}");
}

/// The files that the program has in it: each file of the source that names one, and where that is.
fn built_in() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut found) = (vec![root.join("src")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            for part in source.split("include_str!(").skip(1) {
                let named = part.split('"').nth(1).unwrap();
                let file = path.parent().unwrap().join(named);
                let mut steps: Vec<&str> = Vec::new();
                for step in
                    file.strip_prefix(root).unwrap().iter().map(|step| step.to_str().unwrap())
                {
                    match step {
                        ".." => steps.truncate(steps.len() - 1),
                        step => steps.push(step),
                    }
                }
                found.push(steps.join("/"));
            }
        }
    }
    found
}

#[test]
fn the_image_is_built_from_every_file_that_the_program_has_in_it() {
    let dockerfile = fs::read_to_string(deploy("docker/Dockerfile")).unwrap();
    let ignored = Path::new(env!("CARGO_MANIFEST_DIR")).join(".dockerignore");
    let ignored = fs::read_to_string(ignored).unwrap();
    let copied =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")?.split(' ').next());
    let copied: Vec<&str> = copied.collect();
    let taken: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let built_in = built_in();
    assert!(built_in.len() > 5, "{built_in:?}");
    // Templates are read by a macro of their own.
    for file in built_in.iter().map(String::as_str).chain(["templates/frame.html"]) {
        let has = |all: &[&str]| {
            all.iter().any(|one| file == *one || file.starts_with(&format!("{one}/")))
        };
        assert!(has(&copied), "{file} is not copied");
        assert!(has(&taken), "{file} is ignored");
    }
}
