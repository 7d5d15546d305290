//! What is given to people: the `.deb` and the tarball, packed by the script from the program under
//! test (a release build would take minutes and pack the same files).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::deploy;

/// Runs a program of this machine; its standard output.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let Output { status, stdout, stderr } = output;
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{out}{err}");
    out.into_owned()
}

/// The program under test as a release build is, in a directory of its own.
pub fn stripped() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let program = dir.path().join("claude-safe");
    run(Command::new("strip").arg("-o").arg(&program).arg(env!("CARGO_BIN_EXE_claude-safe")));
    (dir, program)
}

/// Packs the program under test; the file that was made.
fn pack(what: &str) -> PathBuf {
    let (_dir, program) = stripped();
    let mut script = Command::new(deploy().join("package"));
    file_of(script.args([what, "--binary"]).arg(&program))
}

/// Lets the script work; the file that it names.
fn file_of(script: &mut Command) -> PathBuf {
    let out = run(script);
    let file = out.lines().last().expect("the script names its file");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

#[track_caller]
fn assert_checksum(file: &Path) {
    let sums = format!("{}.sha256", file.file_name().expect("a name").to_string_lossy());
    run(Command::new("sha256sum")
        .args(["--check", &sums])
        .current_dir(file.parent().expect("dir")));
}

/// Manual pages and completions are there and can be used, below this directory's `man` and
/// completion places.
#[track_caller]
fn assert_documents(man: &Path, bash: &Path, zsh: &Path, fish: &Path) {
    for page in ["claude-safe", "claude-safe-run", "claude-safe-backup-restore"] {
        let file = man.join(format!("{page}.1.gz"));
        let text = run(Command::new("man").env("MANPAGER", "cat").arg("-l").arg(&file));
        assert!(text.contains("SYNOPSIS"), "{page}: {text}");
    }
    let completes = ". \"$1\"; COMP_WORDS=(claude-safe rep) COMP_CWORD=1; \
                     _claude__safe claude-safe rep claude-safe; echo \"${COMPREPLY[@]}\"";
    let words = run(Command::new("bash").args(["-c", completes, "bash"]).arg(bash));
    assert_eq!(words.trim(), "report");
    let autoloads = "fpath=($1:h $fpath); autoload -Uz compinit; compinit -u -D; \
                     echo $_comps[claude-safe]";
    let words = run(Command::new("zsh").args(["-fc", autoloads, "zsh"]).arg(zsh));
    assert_eq!(words.trim(), "_claude-safe");
    let script = format!("source {}; complete -C'claude-safe rep'", fish.display());
    let words = run(Command::new("fish").args(["--no-config", "-c", &script]));
    assert!(words.starts_with("report"), "{words}");
}

#[test]
fn the_deb_installs_all_that_belongs_to_it_and_goes_without_a_trace() {
    let deb = pack("deb");
    assert_checksum(&deb);
    run(Command::new("lintian").args(["--allow-root", "--fail-on", "error,warning"]).arg(&deb));

    let root = tempfile::tempdir().expect("a temporary directory");
    let admin = root.path().join("var/lib/dpkg");
    fs::create_dir_all(admin.join("info")).expect("a directory");
    fs::create_dir_all(admin.join("updates")).expect("a directory");
    fs::write(admin.join("status"), "").expect("a file");
    let dpkg = |words: &[&str]| {
        let mut dpkg = Command::new("dpkg");
        // an empty root has none of what the package depends on
        dpkg.arg("--root").arg(root.path()).args(["--force-depends", "--force-not-root"]);
        run(dpkg.args(["--force-script-chrootless"]).args(words))
    };
    dpkg(&["--install", deb.to_str().expect("text")]);
    let usr = root.path().join("usr");
    let program = usr.join("bin/claude-safe");
    let mode = fs::metadata(&program).expect("the program").permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    let version = format!("claude-safe {}", env!("CARGO_PKG_VERSION"));
    assert!(run(Command::new(&program).arg("--version")).starts_with(&version));
    assert_documents(
        &usr.join("share/man/man1"),
        &usr.join("share/bash-completion/completions/claude-safe"),
        &usr.join("share/zsh/vendor-completions/_claude-safe"),
        &usr.join("share/fish/vendor_completions.d/claude-safe.fish"),
    );
    let documents = usr.join("share/doc/claude-safe");
    for file in ["README.md", "copyright", "docs/unattended.md", "deploy/crontab"] {
        assert!(documents.join(file).is_file(), "{file}");
    }
    dpkg(&["--purge", "claude-safe"]);
    assert!(!usr.exists(), "{}", run(Command::new("find").arg(&usr)));
}

fn assert_documents_of_tarball(top: &Path) {
    let completions = top.join("completions");
    assert_documents(
        &top.join("man"),
        &completions.join("claude-safe"),
        &completions.join("_claude-safe"),
        &completions.join("claude-safe.fish"),
    );
}

#[test]
fn the_tarball_is_the_same_for_the_same_input_and_says_what_it_needs() {
    let tarball = pack("tarball");
    assert_checksum(&tarball);
    let first = fs::read(&tarball).expect("the tarball");
    assert_eq!(pack("tarball"), tarball);
    assert!(first == fs::read(&tarball).expect("the tarball"), "it differs");

    let dir = tempfile::tempdir().expect("a temporary directory");
    run(Command::new("tar").arg("-xzf").arg(&tarball).arg("-C").arg(dir.path()));
    let name = tarball.file_name().expect("a name").to_string_lossy();
    // not a static build: its name does not promise one
    let name = name.strip_suffix("-unknown-linux-gnu.tar.gz").expect("named for its C library");
    let top = dir.path().join(format!("{name}-unknown-linux-gnu"));
    run(Command::new(top.join("claude-safe")).arg("--version"));
    assert_documents_of_tarball(&top);
    for file in ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "docs/shells.md", "deploy/crontab"] {
        assert!(top.join(file).is_file(), "{file}");
    }
}

#[test]
fn a_tarball_for_a_mac_has_the_documents_that_the_program_of_this_machine_makes() {
    let (dir, program) = stripped();
    let foreign = dir.path().join("mach-o");
    fs::write(&foreign, b"\xcf\xfa\xed\xfe not for this machine").expect("written");
    let mut script = Command::new(deploy().join("package"));
    script.args(["tarball", "--target", "aarch64-apple-darwin", "--binary"]).arg(&foreign);
    let tarball = file_of(script.arg("--documents").arg(&program));
    assert_checksum(&tarball);
    let name = format!("claude-safe-{}-aarch64-apple-darwin", env!("CARGO_PKG_VERSION"));
    assert!(tarball.ends_with(format!("{name}.tar.gz")), "{}", tarball.display());
    run(Command::new("tar").arg("-xzf").arg(&tarball).arg("-C").arg(dir.path()));
    let top = dir.path().join(name);
    assert!(
        fs::read(top.join("claude-safe")).expect("there") == fs::read(&foreign).expect("there")
    );
    let mode = fs::metadata(top.join("claude-safe")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    assert_documents_of_tarball(&top);
}

#[test]
fn the_crate_holds_all_that_its_build_reads() {
    let files = run(Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR")));
    let packed = |name: &str| files.lines().any(|file| file == name);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = vec![root.join("src")];
    let mut read = 0;
    while let Some(path) = sources.pop() {
        if path.is_dir() {
            sources.extend(fs::read_dir(&path).expect("a directory").flatten().map(|e| e.path()));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        for part in text.split("include_str!(\"").skip(1) {
            let file = part.split('"').next().expect("a name");
            let file = path.parent().expect("a directory").join(file).canonicalize().expect(file);
            let file = file.strip_prefix(root).expect("of the project").to_string_lossy();
            assert!(packed(&file), "{file}");
            read += 1;
        }
    }
    assert!(read > 3, "{read} files are read by the build");
}
