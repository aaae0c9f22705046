//! The configuration file of the private nats-server, as text.
use std::path::Path;

use super::{Options, SyncInterval, USER};

pub(super) fn text(dir: &Path, password: &str, options: &Options) -> String {
    let port = options.port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
    let sync = match options.sync_interval {
        SyncInterval::Server => String::new(),
        SyncInterval::Always => "  sync_interval: always\n".to_owned(),
        SyncInterval::Every(interval) => format!("  sync_interval: \"{}ms\"\n", interval.as_millis()),
    };
    let users: String = options.users.iter().map(|user| format!("    {user}\n")).collect();
    let path = |name: &str| quote(&dir.join(name).to_string_lossy());
    format!(
        "server_name: eventus-embedded\n\
         host: \"127.0.0.1\"\n\
         port: {port}\n\
         pid_file: {pid_file}\n\
         ports_file_dir: {ports}\n\
         authorization {{\n  users: [\n    {{ user: {USER}, password: \"{password}\" }}\n{users}  ]\n}}\n\
         jetstream {{\n  store_dir: {store}\n{sync}}}\n\
         {extra}\n",
        pid_file = path("nats.pid"),
        ports = path("ports"),
        store = path("store"),
        extra = options.extra,
    )
}

/// A text in double quotes, in which only the quote and the backslash have a meaning.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Launcher;

    #[test]
    fn every_option_has_its_line() {
        let mut options = Options::new(Launcher::new("/bin/true", []));
        let dir = Path::new("/some \"dir\"");
        let plain = text(dir, "secret", &options);
        assert!(plain.contains("port: -1\n") && plain.contains("store_dir: \"/some \\\"dir\\\"/store\"\n"));
        assert!(!plain.contains("sync_interval"));
        options.port = Some(4222);
        options.sync_interval = SyncInterval::Always;
        options.users = vec!["{ user: more }".to_owned()];
        options.extra = "max_payload: 262144".to_owned();
        let full = text(dir, "secret", &options);
        assert!(full.contains("port: 4222\n") && full.contains("sync_interval: always\n"), "{full}");
        assert!(full.contains("{ user: more }\n"), "{full}");
        assert!(full.ends_with("max_payload: 262144\n"));
    }
}
