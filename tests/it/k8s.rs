//! The Kubernetes manifests, read as a cluster would: rendered, valid, and true to what the binary promises.
//! Ports, peers and callers are written down here once; a manifest that says otherwise fails.
mod calls;
mod network;
mod objects;
mod overlays;
mod render;

use std::collections::BTreeSet;

use network::{list, selects};
use objects::{images, labels, name, of, one, ours, pod, port_named, references, settings, workloads};
use render::{render, render_valid};
use serde_json::{Value, json};

const FOLDERS: [&str; 3] = ["base", "overlays/dev", "overlays/prod"];
const ADMIN: u64 = 9464;
const GRPC: u64 = 9090;
const HTTP: u64 = 8055;
const UID: u64 = 65532;

/// Every process, the port it serves beside the admin port, and the processes whose gRPC it calls.
const PROCESSES: [(&str, Option<u64>, &[&str]); 7] = [
    ("gateway", Some(HTTP), &["items", "auth", "hooks", "analytics", "webhooks"]),
    ("items", Some(GRPC), &["auth", "hooks"]),
    ("auth", Some(GRPC), &["items"]),
    ("hooks", Some(GRPC), &["auth"]),
    ("analytics", Some(GRPC), &["auth"]),
    ("webhooks", Some(GRPC), &["auth"]),
    ("cdn-purge", None, &[]),
];
const PROBES: [(&str, &str); 3] = [
    ("startupProbe", "/health/startup"),
    ("livenessProbe", "/health/live"),
    ("readinessProbe", "/health/ready"),
];
/// The process that hands mail to servers outside the cluster.
const MAILING: &str = "auth";
/// The processes that speak to servers outside the cluster.
const OUTSIDE: [&str; 3] = ["auth", "webhooks", "cdn-purge"];
/// The processes with an autoscaler and a disruption budget in production.
const SCALED: [&str; 3] = ["gateway", "items", "auth"];
/// The Secrets that production brings, with the keys that the pods read; k8s/README.md names them.
const SECRETS: [(&str, &str); 4] = [
    ("eventus-signing", "secret"),
    ("eventus-postgres", "url"),
    ("eventus-nats", "url"),
    ("eventus-admin", "password"),
];

#[test]
fn every_object_is_valid_for_old_and_new_kubernetes() {
    for folder in FOLDERS {
        let objects = render_valid(folder);
        assert!(of(&objects, "Deployment").len() == PROCESSES.len(), "{folder}");
    }
}

#[test]
fn every_process_has_its_deployment_service_policy_and_account() {
    for folder in FOLDERS {
        let objects = render(folder);
        let all: BTreeSet<_> = PROCESSES.iter().map(|p| p.0).collect();
        let deployments: BTreeSet<_> = of(&objects, "Deployment").into_iter().map(name).collect();
        assert_eq!(deployments, all, "{folder}");
        for (process, port, _) in PROCESSES {
            let pod = pod(one(&objects, "Deployment", process));
            assert_eq!(pod["containers"][0]["args"], json!(["run", process]), "{folder}");
            let service = one(&objects, "Service", process);
            let served: BTreeSet<_> =
                list(&service["spec"]["ports"]).iter().map(|p| p["port"].as_u64()).collect();
            assert_eq!(served, port.into_iter().chain([ADMIN]).map(Some).collect(), "{folder} {process}");
            let policy = one(&objects, "NetworkPolicy", process);
            assert_eq!(list(&policy["spec"]["policyTypes"]).len(), 2, "{folder} {process}");
        }
        let job = pod(one(&objects, "Job", "migrate"));
        assert_eq!(job["containers"][0]["args"], json!(["migrate"]), "{folder}");
    }
}

#[test]
fn every_pod_is_locked_down() {
    for folder in FOLDERS {
        let objects = render(folder);
        for owner in workloads(&objects) {
            let (pod, at) = (pod(owner), format!("{folder} {}", name(owner)));
            let id = &pod["securityContext"];
            assert_eq!(id["runAsNonRoot"], true, "{at}");
            assert!(id["runAsUser"].as_u64().is_some_and(|uid| uid > 0), "{at}");
            assert_eq!(id["seccompProfile"]["type"], "RuntimeDefault", "{at}");
            assert_eq!(pod["automountServiceAccountToken"], false, "{at}");
            assert_eq!(pod["enableServiceLinks"], false, "{at}: AUTH_PORT and its like are no settings");
            for key in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
                assert!(pod[key].is_null(), "{at}: {key}");
            }
            assert!(!list(&pod["volumes"]).iter().any(|v| v.get("hostPath").is_some()), "{at}");
            for container in list(&pod["containers"]) {
                let guard = &container["securityContext"];
                assert_eq!(guard["allowPrivilegeEscalation"], false, "{at}");
                assert_eq!(guard["readOnlyRootFilesystem"], true, "{at}");
                assert_eq!(guard["capabilities"], json!({ "drop": ["ALL"] }), "{at}");
                assert!(guard["privileged"].is_null() && guard["runAsUser"].is_null(), "{at}");
            }
        }
        for owner in ours(&objects) {
            let pod = pod(owner);
            assert_eq!(pod["securityContext"]["runAsUser"], UID, "{folder} {}", name(owner));
            assert_eq!(pod["terminationGracePeriodSeconds"], 30, "{folder} {}", name(owner));
            let account = one(&objects, "ServiceAccount", pod["serviceAccountName"].as_str().unwrap_or(""));
            assert_eq!(name(account), name(owner), "{folder}");
            assert_eq!(account["automountServiceAccountToken"], false, "{folder} {}", name(owner));
        }
    }
}

#[test]
fn every_container_has_probes_and_resources() {
    for folder in FOLDERS {
        let objects = render(folder);
        for owner in workloads(&objects) {
            for container in list(&pod(owner)["containers"]) {
                let at = format!("{folder} {}", name(owner));
                let resources = &container["resources"];
                assert!(resources["requests"]["cpu"].is_string(), "{at}");
                assert!(resources["requests"]["memory"].is_string(), "{at}");
                assert!(resources["limits"]["memory"].is_string(), "{at}");
                assert!(resources["limits"]["cpu"].is_null(), "{at}: a CPU limit only makes tails longer");
                for (probe, _) in PROBES {
                    assert_eq!(container[probe].is_object(), owner["kind"] != "Job", "{at}: {probe}");
                }
            }
        }
        for owner in of(&objects, "Deployment") {
            let container = &pod(owner)["containers"][0];
            assert_eq!(port_named(container, "admin"), Some(ADMIN), "{folder} {}", name(owner));
            for (probe, path) in PROBES {
                let asked = &container[probe]["httpGet"];
                assert_eq!(asked["path"], path, "{folder} {}", name(owner));
                assert_eq!(asked["port"], "admin", "{folder} {}", name(owner));
            }
        }
    }
}

#[test]
fn the_image_has_one_name_and_a_fixed_tag() {
    for folder in FOLDERS {
        let objects = render(folder);
        let all: BTreeSet<_> = ours(&objects).into_iter().flat_map(images).collect();
        assert_eq!(all.len(), 1, "{folder}: {all:?}");
        for image in workloads(&objects).into_iter().flat_map(images) {
            let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
            assert!(tag.is_some_and(|tag| !tag.is_empty() && tag != "latest"), "{folder}: {image}");
        }
        if folder != "overlays/dev" {
            let tag = format!(":{}", env!("CARGO_PKG_VERSION"));
            assert!(all.iter().all(|i| i.ends_with(&tag)), "{folder}: {all:?} is not this version");
        }
    }
}

#[test]
fn what_a_pod_names_exists() {
    for folder in FOLDERS {
        let objects = render(folder);
        for owner in workloads(&objects) {
            let at = format!("{folder} {}", name(owner));
            assert!(owner["kind"] == "Job" || selects(&owner["spec"]["selector"], labels(owner)), "{at}");
            for (kind, wanted) in references(pod(owner)) {
                let there = objects.iter().any(|o| o["kind"] == kind && name(o) == wanted);
                let brought =
                    folder != "overlays/dev" && SECRETS.iter().any(|s| ("Secret", s.0) == (kind, wanted));
                assert!(there || brought, "{at}: {kind} {wanted}");
            }
        }
        let namespaces: BTreeSet<_> = objects
            .iter()
            .filter(|o| o["kind"] != "Namespace")
            .map(|o| o["metadata"]["namespace"].as_str())
            .collect();
        assert_eq!(namespaces.len(), 1, "{folder}: {namespaces:?}");
    }
}

#[test]
fn every_service_picks_its_own_pods_and_their_ports() {
    for folder in FOLDERS {
        let objects = render(folder);
        for service in of(&objects, "Service") {
            let at = format!("{folder} {}", name(service));
            let selector = json!({ "matchLabels": service["spec"]["selector"] });
            let picked: Vec<_> =
                workloads(&objects).into_iter().filter(|owner| selects(&selector, labels(owner))).collect();
            assert_eq!(picked.iter().map(|owner| name(owner)).collect::<Vec<_>>(), [name(service)], "{at}");
            for port in list(&service["spec"]["ports"]) {
                let target = port["targetPort"].as_str().expect("targetPort is a name");
                let found = port_named(&pod(picked[0])["containers"][0], target);
                assert!(found.is_some() && found == port["port"].as_u64(), "{at}: {target}");
            }
        }
    }
}

#[test]
fn settings_hold_for_every_process() {
    for folder in FOLDERS {
        let objects = render(folder);
        for owner in ours(&objects) {
            let (settings, at) = (settings(&objects, owner), format!("{folder} {}", name(owner)));
            assert_eq!(settings["HOST"], "0.0.0.0", "{at}");
            assert_eq!(settings["PORT"], HTTP.to_string(), "{at}");
            assert_eq!(settings["EVENTUS_GRPC_LISTEN"], format!("0.0.0.0:{GRPC}"), "{at}");
            assert_eq!(settings["EVENTUS_ADMIN_LISTEN"], format!("0.0.0.0:{ADMIN}"), "{at}");
            let migrate = if owner["kind"] == "Job" { "true" } else { "false" };
            assert_eq!(settings["MIGRATE_ON_BOOT"], migrate, "{at}");
            let peers =
                settings.iter().filter(|(key, _)| key.starts_with("EVENTUS_") && key.ends_with("_URL"));
            let mut told = BTreeSet::new();
            for (key, url) in peers {
                let (host, port) =
                    url.strip_prefix("http://").and_then(|u| u.split_once(':')).expect("http://host:port");
                assert_eq!(*key, format!("EVENTUS_{}_URL", host.to_uppercase()), "{at}");
                let service = one(&objects, "Service", host);
                let ports = list(&service["spec"]["ports"]);
                assert!(ports.iter().any(|p| p["port"].as_u64() == port.parse().ok()), "{at}: {url}");
                told.insert(host);
            }
            let serving: BTreeSet<_> = PROCESSES.iter().filter(|p| p.1 == Some(GRPC)).map(|p| p.0).collect();
            assert_eq!(told, serving, "{at}");
        }
    }
}

#[test]
fn secrets_arrive_as_files_where_they_are_needed() {
    for folder in FOLDERS {
        let objects = render(folder);
        for owner in ours(&objects) {
            let at = format!("{folder} {}", name(owner));
            let settings = settings(&objects, owner);
            let told: BTreeSet<_> = settings.keys().filter_map(|key| key.strip_suffix("_FILE")).collect();
            let mut wanted = BTreeSet::from(["SECRET", "NATS_URL"]);
            wanted.extend((name(owner) != "gateway").then_some("DATABASE_URL"));
            wanted.extend((owner["kind"] == "Job").then_some("ADMIN_PASSWORD"));
            assert_eq!(told, wanted, "{at}");
            for key in told {
                let path = &settings[&format!("{key}_FILE")];
                assert!(mounted(pod(owner)).contains(path), "{at}: nothing is mounted at {path}");
            }
            let container = &pod(owner)["containers"][0];
            assert!(!container.to_string().contains("secretKeyRef"), "{at}");
            assert!(!container.to_string().contains("secretRef"), "{at}");
        }
    }
}

/// The paths of all secret files in a pod of ours.
fn mounted(pod: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for volume in list(&pod["volumes"]).iter().filter(|v| v["secret"].is_object()) {
        assert_eq!(volume["secret"]["defaultMode"], 0o440, "{volume}");
        for mount in list(&pod["containers"][0]["volumeMounts"]) {
            if mount["name"] != volume["name"] {
                continue;
            }
            assert_eq!(mount["readOnly"], true, "{mount}");
            let folder = mount["mountPath"].as_str().expect("a mount has a path");
            paths.extend(
                list(&volume["secret"]["items"])
                    .iter()
                    .map(|item| format!("{folder}/{}", item["path"].as_str().expect("an item has a path"))),
            );
        }
    }
    paths
}

/// With a NATS user for each process, each reads the address with its own password and no other.
#[test]
fn each_process_may_have_its_own_nats_user() {
    let objects = render_valid("../tests/fixtures/k8s-nats-users");
    let deployments: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "Deployment").collect();
    assert_eq!(deployments.len(), 7);
    for deployment in deployments {
        let volumes = deployment["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
        let nats = volumes.iter().find(|volume| volume["name"] == "nats").unwrap();
        let key = format!("{}.url", name(deployment));
        assert_eq!(nats["secret"]["items"], json!([{"key": key, "path": "url"}]));
        assert!(volumes.iter().any(|volume| volume["name"] == "signing"));
    }
}

/// With TLS between processes each has the certificate, beside all that it had.
#[test]
fn processes_may_call_each_other_by_tls() {
    let objects = render_valid("../tests/fixtures/k8s-grpc-tls");
    let deployments: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "Deployment").collect();
    assert_eq!(deployments.len(), 7);
    for deployment in deployments {
        let pod = &deployment["spec"]["template"]["spec"];
        let named = |list: &Value, name: &str| list.as_array().unwrap().iter().any(|one| one["name"] == name);
        let container = &pod["containers"][0];
        for name in ["EVENTUS_GRPC_TLS_CERT_FILE", "EVENTUS_GRPC_TLS_KEY_FILE", "EVENTUS_GRPC_TLS_CA_FILE"] {
            assert!(named(&container["env"], name), "{name}");
        }
        assert!(
            named(&container["volumeMounts"], "grpc-tls") && named(&container["volumeMounts"], "signing")
        );
        assert!(named(&pod["volumes"], "grpc-tls") && named(&pod["volumes"], "signing"));
    }
}
