//! What each overlay adds, and the image that all of them run.
use std::collections::BTreeSet;

use super::network::{list, selects};
use super::objects::{labels, name, of, one, ours, pod, settings};
use super::render::{read, render};
use super::{ADMIN, FOLDERS, GRPC, HTTP, PROCESSES, SCALED, SECRETS, UID};

#[test]
fn production_keeps_two_of_everything() {
    let objects = render("overlays/prod");
    for (process, ..) in PROCESSES {
        let deployment = one(&objects, "Deployment", process);
        let replicas = deployment["spec"]["replicas"].as_u64();
        if SCALED.contains(&process) {
            assert_eq!(replicas, None, "{process}: each apply would undo the autoscaler");
        } else {
            assert!(replicas.is_some_and(|n| n >= 2), "{process}");
        }
        let roll = &deployment["spec"]["strategy"];
        assert_eq!(
            (&roll["type"], &roll["rollingUpdate"]["maxUnavailable"]),
            (&"RollingUpdate".into(), &0.into())
        );
        let spread = list(&pod(deployment)["topologySpreadConstraints"]);
        let over: Vec<_> = spread.iter().map(|s| s["topologyKey"].as_str().unwrap_or_default()).collect();
        assert_eq!(over, ["topology.kubernetes.io/zone", "kubernetes.io/hostname"], "{process}");
        for constraint in spread {
            assert!(selects(&constraint["labelSelector"], labels(deployment)), "{process}");
            assert_eq!(
                constraint["matchLabelKeys"][0], "pod-template-hash",
                "{process}: others' pods count too"
            );
        }
    }
}

#[test]
fn production_scales_and_guards_the_request_road() {
    let objects = render("overlays/prod");
    let scaled = BTreeSet::from(SCALED);
    for kind in ["HorizontalPodAutoscaler", "PodDisruptionBudget"] {
        assert_eq!(of(&objects, kind).into_iter().map(name).collect::<BTreeSet<_>>(), scaled);
    }
    for process in SCALED {
        let scaler = &one(&objects, "HorizontalPodAutoscaler", process)["spec"];
        assert_eq!(scaler["scaleTargetRef"]["name"], process);
        assert_eq!(scaler["scaleTargetRef"]["kind"], "Deployment");
        let (least, most) = (scaler["minReplicas"].as_u64(), scaler["maxReplicas"].as_u64());
        assert!(least >= Some(2) && most > least, "{process}");
        let budget = &one(&objects, "PodDisruptionBudget", process)["spec"];
        assert_eq!(budget["maxUnavailable"], 1);
        let picked: Vec<_> = ours(&objects)
            .into_iter()
            .filter(|o| selects(&budget["selector"], labels(o)))
            .map(name)
            .collect();
        assert_eq!(picked, [process]);
    }
}

#[test]
fn production_opens_one_door() {
    let objects = render("overlays/prod");
    let doors = of(&objects, "Ingress");
    assert_eq!(doors.len(), 1);
    let spec = &doors[0]["spec"];
    let gateway = one(&objects, "Deployment", "gateway");
    let host = settings(&objects, gateway)["PUBLIC_URL"].trim_start_matches("https://").to_owned();
    assert_eq!(spec["tls"][0]["hosts"][0], host);
    for rule in list(&spec["rules"]) {
        assert_eq!(rule["host"], host, "PUBLIC_URL and the Ingress name the same host");
        for path in list(&rule["http"]["paths"]) {
            let backend = &path["backend"]["service"];
            assert_eq!(backend["name"], "gateway");
            let service = one(&objects, "Service", "gateway");
            let port = list(&service["spec"]["ports"]).iter().find(|p| p["name"] == backend["port"]["name"]);
            assert_eq!(port.and_then(|p| p["port"].as_u64()), Some(HTTP));
        }
    }
    for service in of(&objects, "Service") {
        assert!(service["spec"]["type"].is_null(), "{} is for the cluster only", name(service));
    }
    assert!(settings(&objects, one(&objects, "Deployment", "cdn-purge"))["CDN_URL"].starts_with("https://"));
}

#[test]
fn base_and_production_hold_no_secret_and_the_guide_names_them_all() {
    for folder in ["base", "overlays/prod"] {
        assert!(of(&render(folder), "Secret").is_empty(), "{folder}");
    }
    let guide = read("k8s/README.md");
    for (secret, key) in SECRETS {
        assert!(guide.contains(&format!("| `{secret}` | `{key}` |")), "k8s/README.md: {secret}, {key}");
    }
    let objects = render("overlays/prod");
    let tls = &one(&objects, "Ingress", "gateway")["spec"]["tls"][0]["secretName"];
    assert!(guide.contains(tls.as_str().expect("a name")), "k8s/README.md: {tls}");
}

#[test]
fn development_brings_its_stores_and_runs_one_of_each() {
    let objects = render("overlays/dev");
    let stores: BTreeSet<_> = of(&objects, "StatefulSet").into_iter().map(name).collect();
    assert_eq!(stores, BTreeSet::from(["nats", "postgres"]));
    for store in of(&objects, "StatefulSet") {
        assert_eq!(store["spec"]["replicas"], 1);
        assert_eq!(store["spec"]["serviceName"], name(store));
        one(&objects, "Service", name(store));
        let kept = list(&store["spec"]["volumeClaimTemplates"]);
        let mounts = list(&pod(store)["containers"][0]["volumeMounts"]);
        assert!(mounts.iter().any(|m| m["name"] == kept[0]["metadata"]["name"]), "{}", name(store));
    }
    for (process, ..) in PROCESSES {
        assert_eq!(one(&objects, "Deployment", process)["spec"]["replicas"], 1, "{process}");
    }
    for (secret, key) in SECRETS {
        let generated = of(&objects, "Secret").into_iter().find(|o| name(o).starts_with(secret));
        let generated = generated.unwrap_or_else(|| panic!("no Secret {secret}"));
        assert!(generated["data"][key].is_string(), "{secret} has no {key}");
        assert_ne!(name(generated), secret, "{secret}: a hash in the name rolls the pods when it changes");
    }
    let maps = of(&objects, "ConfigMap");
    let nats = maps.iter().find(|o| name(o).starts_with("nats-server")).expect("settings of the NATS server");
    let conf = nats["data"]["nats.conf"].as_str().expect("nats.conf");
    assert!(conf.contains("jetstream") && conf.contains("store_dir: /var/lib/nats"), "{conf}");
}

#[test]
fn development_asks_for_less() {
    let [base, dev] = ["base", "overlays/dev"].map(render);
    for (process, ..) in PROCESSES {
        let [base, dev] = [&base, &dev].map(|objects| {
            let limits = &pod(one(objects, "Deployment", process))["containers"][0]["resources"]["limits"];
            limits["memory"].as_str().and_then(|m| m.strip_suffix("Mi")).and_then(|m| m.parse::<u64>().ok())
        });
        assert!(dev.is_some() && dev < base, "{process}");
    }
}

#[test]
fn the_migrate_phase_is_complete_by_itself() {
    for folder in FOLDERS {
        let objects = render(folder);
        let phase: Vec<_> =
            objects.iter().filter(|o| o["metadata"]["labels"]["eventus-phase"] == "migrate").collect();
        let job = one(&objects, "Job", "migrate");
        let found = |kind: &str, wanted: &str| phase.iter().any(|o| o["kind"] == kind && name(o) == wanted);
        assert!(found("Job", "migrate"), "{folder}");
        for (kind, wanted) in super::references(pod(job)) {
            assert!(kind == "Secret" || found(kind, wanted), "{folder}: {kind} {wanted}");
        }
        for policy in of(&objects, "NetworkPolicy") {
            let touches = selects(&policy["spec"]["podSelector"], labels(job));
            assert!(!touches || found("NetworkPolicy", name(policy)), "{folder}: {}", name(policy));
        }
    }
}

#[test]
fn the_image_is_what_the_pods_expect() {
    let dockerfile = read("Dockerfile");
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|l| l.strip_prefix("channel = \"")).expect("a channel");
    let minor = channel.trim_end_matches('"').rsplit_once('.').expect("major.minor.patch").0;
    let froms: Vec<_> = dockerfile.lines().filter(|l| l.starts_with("FROM ")).collect();
    assert!(froms[0].starts_with(&format!("FROM rust:{minor}-")), "{}: the toolchain is {channel}", froms[0]);
    assert!(froms.iter().all(|f| f.contains(':') && !f.contains(":latest")), "{froms:?}");
    let last = dockerfile.split("FROM ").last().expect("a stage");
    let lines: BTreeSet<_> = last.lines().collect();
    for line in [
        format!("USER {UID}:{UID}"),
        format!("EXPOSE {HTTP} {GRPC} {ADMIN}"),
        "ENTRYPOINT [\"eventus\"]".to_owned(),
    ] {
        assert!(lines.contains(line.as_str()), "Dockerfile: no line {line}");
    }
    let left_out = read(".dockerignore");
    for folder in ["target", ".git", ".eventus"] {
        assert!(left_out.lines().any(|l| l == folder), ".dockerignore: {folder}");
    }
}
