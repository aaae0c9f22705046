//! Reading Kubernetes objects: finding them, their pods, and what the pods name.
use std::collections::BTreeMap;

use serde_json::Value;

use super::network::list;

/// The name of an object; those that kustomize generates end in a hash of their content.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("an object has a name")
}

/// All objects of a kind.
pub fn of<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|o| o["kind"] == kind).collect()
}

/// The object of this kind and name.
pub fn one<'a>(objects: &'a [Value], kind: &str, wanted: &str) -> &'a Value {
    of(objects, kind).into_iter().find(|o| name(o) == wanted).unwrap_or_else(|| panic!("no {kind} {wanted}"))
}

/// Everything that makes pods.
pub fn workloads(objects: &[Value]) -> Vec<&Value> {
    let kinds = ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"];
    objects.iter().filter(|o| kinds.iter().any(|kind| o["kind"] == *kind)).collect()
}

/// Everything that makes pods of our image: the processes and the migrate Job.
pub fn ours(objects: &[Value]) -> Vec<&Value> {
    workloads(objects).into_iter().filter(|o| o["kind"] == "Deployment" || o["kind"] == "Job").collect()
}

/// The pod that a workload makes.
pub fn pod(owner: &Value) -> &Value {
    let pod = &owner["spec"]["template"]["spec"];
    assert!(!list(&pod["containers"]).is_empty(), "{} makes no pods", name(owner));
    pod
}

/// The labels of the pods of a workload.
pub fn labels(owner: &Value) -> &Value {
    &owner["spec"]["template"]["metadata"]["labels"]
}

/// The images of a workload's pods.
pub fn images(owner: &Value) -> impl Iterator<Item = &str> {
    list(&pod(owner)["containers"]).iter().map(|c| c["image"].as_str().expect("a container has an image"))
}

/// The number of a container's named port.
pub fn port_named(container: &Value, wanted: &str) -> Option<u64> {
    list(&container["ports"]).iter().find(|p| p["name"] == wanted)?["containerPort"].as_u64()
}

/// (kind, name) of each ConfigMap, Secret and ServiceAccount that a pod names.
pub fn references(pod: &Value) -> Vec<(&'static str, &str)> {
    let mut named = vec![("ServiceAccount", &pod["serviceAccountName"])];
    let mut add = |kind, name| named.push((kind, name));
    for volume in list(&pod["volumes"]) {
        add("Secret", &volume["secret"]["secretName"]);
        add("ConfigMap", &volume["configMap"]["name"]);
        for source in list(&volume["projected"]["sources"]) {
            add("Secret", &source["secret"]["name"]);
            add("ConfigMap", &source["configMap"]["name"]);
        }
    }
    for container in list(&pod["containers"]) {
        for from in list(&container["envFrom"]) {
            add("ConfigMap", &from["configMapRef"]["name"]);
        }
        for env in list(&container["env"]) {
            add("ConfigMap", &env["valueFrom"]["configMapKeyRef"]["name"]);
        }
    }
    named.into_iter().filter_map(|(kind, name)| Some((kind, name.as_str()?))).collect()
}

/// The environment of a workload's first container, as its process sees it.
pub fn settings(objects: &[Value], owner: &Value) -> BTreeMap<String, String> {
    let container = &pod(owner)["containers"][0];
    let text = |value: &Value| value.as_str().expect("settings are texts").to_owned();
    let map =
        |wanted: &Value| &one(objects, "ConfigMap", wanted["name"].as_str().expect("a named map"))["data"];
    let mut settings = BTreeMap::new();
    for from in list(&container["envFrom"]) {
        let told = map(&from["configMapRef"]).as_object().expect("a map has entries");
        settings.extend(told.iter().map(|(key, value)| (key.clone(), text(value))));
    }
    for env in list(&container["env"]) {
        let one = &env["valueFrom"]["configMapKeyRef"];
        let value = if one.is_null() { &env["value"] } else { &map(one)[text(&one["key"])] };
        settings.insert(text(&env["name"]), text(value));
    }
    settings
}
