//! Renders a kustomization with kubectl, checks it with kubernetes-validate, and hands it over as JSON.
//! A tool that is missing is a failure that says what to do: nothing is skipped.
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The oldest Kubernetes that we promise, and the newest that the installed kubernetes-validate knows.
const VERSIONS: [&str; 2] = ["1.27", "newest"];
/// kubectl brings kustomize along; below 1.22 it is too old for these overlays.
const OLDEST_KUBECTL: (u64, u64) = (1, 22);

/// YAML on stdin, JSON list on stdout; versions as arguments. Unknown kinds and unknown fields are errors.
const PYTHON: &str = r#"
import functools, json, sys
try:
    import yaml
    import kubernetes_validate as kv
    from kubernetes_validate import utils
except ImportError as missing:
    print(missing, file=sys.stderr)
    sys.exit(3)
loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
utils.schema_contents = functools.cache(utils.schema_contents)
objects = [o for o in yaml.load_all(sys.stdin.buffer.read().decode(), Loader=loader) if o]
faults = []
for version in sys.argv[1:]:
    version = utils.latest_version() if version == "newest" else version
    for o in objects:
        name = f"Kubernetes {version}: {o['kind']}/{o['metadata']['name']}"
        try:
            checked = kv.validate(o, version, strict=True)
            if version != checked and not version.startswith(checked + "."):
                faults.append(f"{name}: only a schema of {checked} at hand")
        except kv.ValidationError as e:
            faults.append(f"{name}: {'.'.join(map(str, e.path))}: {e.message}")
        except kv.SchemaNotFoundError as e:
            faults.append(f"{name}: {e.message}")
if faults:
    sys.exit("\n".join(faults))
json.dump(objects, sys.stdout)
"#;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a file of the repository.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// All objects of `k8s/{folder}`.
pub fn render(folder: &str) -> Vec<Value> {
    to_json(&kustomize(folder), &[])
}

/// All objects of `k8s/{folder}`, each valid for every promised version of Kubernetes, without unknown fields.
pub fn render_valid(folder: &str) -> Vec<Value> {
    to_json(&kustomize(folder), &VERSIONS)
}

fn kustomize(folder: &str) -> Vec<u8> {
    let kubectl = kubectl();
    let path = root().join("k8s").join(folder);
    let out = Command::new(&kubectl).arg("kustomize").arg(&path).output().expect("kubectl just ran");
    assert!(out.status.success(), "kubectl kustomize k8s/{folder}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// The kubectl to use, proved to be there and new enough.
fn kubectl() -> PathBuf {
    let kubectl = ours_or("kubectl");
    let out = match Command::new(&kubectl).args(["version", "--client", "--output=json"]).output() {
        Ok(out) => out,
        Err(e) if e.kind() == ErrorKind::NotFound => panic!(
            "kubectl is missing: run script/test, which installs it, or put kubectl >= 1.22 into {} or on PATH",
            tools().display()
        ),
        Err(e) => panic!("{} cannot be run: {e}", kubectl.display()),
    };
    let version: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| {
        panic!("{} version: {e}: {}", kubectl.display(), String::from_utf8_lossy(&out.stderr))
    });
    let text = version["clientVersion"]["gitVersion"].as_str().unwrap_or_default();
    let mut numbers = text.trim_start_matches('v').split('.').map(|n| n.parse::<u64>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    assert!(found >= OLDEST_KUBECTL, "{} is {text}: kubectl >= 1.22 is needed", kubectl.display());
    kubectl
}

fn to_json(yaml: &[u8], versions: &[&str]) -> Vec<Value> {
    let packages = tools().join("python");
    let mut child = match Command::new(ours_or("python3"))
        .arg("-c")
        .arg(PYTHON)
        .args(versions)
        .env("PYTHONPATH", &packages)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(e) => panic!("python3 is needed to check the manifests: {e}"),
    };
    // A child that ends early (no packages) closes the pipe; its exit code tells why.
    let written = child.stdin.take().expect("piped above").write_all(yaml);
    let out = child.wait_with_output().expect("python3 was started");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.code() != Some(3),
        "{said}: run script/test, which installs it, or \
         python3 -m pip install --target {} kubernetes-validate",
        packages.display()
    );
    assert!(out.status.success(), "not valid:\n{said}");
    written.expect("python3 read all of it");
    serde_json::from_slice(&out.stdout).expect("python3 wrote JSON")
}

/// The program in the folder of the tools, else the one on PATH.
fn ours_or(program: &str) -> PathBuf {
    let ours = tools().join(program);
    if ours.exists() { ours } else { PathBuf::from(program) }
}

/// The folder of the tools: `EVENTUS_BIN`, else `.eventus/bin` of the repository.
#[expect(clippy::disallowed_methods, reason = "tests read their environment")]
fn tools() -> PathBuf {
    std::env::var_os("EVENTUS_BIN").map_or_else(|| root().join(".eventus/bin"), PathBuf::from)
}
