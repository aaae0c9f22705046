//! The smallest tier, as a test: one seed, every nemesis that an ordinary machine allows.

use std::process::Command;

#[test]
fn a_seed_of_the_smallest_tier_shows_no_violation() {
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_torture"))
        .args(["run", "--tier", "smoke", "--seed", "1", "--folder"])
        .arg(folder.path())
        .output()
        .unwrap();
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // What the processes logged goes with the folder: the report has to be enough to begin with.
    assert!(run.status.success(), "repeat with `torture run --seed 1 --folder DIR`\n{said}");
    println!("{said}");
}
