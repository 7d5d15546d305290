//! Any path and any manifest: nothing in it is restored to, or read from, a place outside of the
//! tree, and a path that is taken is written and read as the same.

#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use claude_safe::parts::backup::manifest::{Kind, Manifest};
use claude_safe::parts::backup::{HeldPath, Source, shown};
use libfuzzer_sys::fuzz_target;

fn stays(path: &HeldPath) {
    let source = Source::below(Path::new("/home/me"));
    let live = source.live(path);
    assert!(live.starts_with(&source.claude_dir) || live == source.claude_json, "{live:?}");
    let dir = Path::new("/backups/0001");
    for stored in [path.stored(true), path.stored(false)] {
        let place = dir.join(&stored);
        assert!(place.starts_with(dir) && place.components().count() > 3, "{stored:?}");
        // beside the tree lie the manifest and its hash
        let first = stored.components().next().expect("it has a name");
        assert!(first.as_os_str().as_bytes().starts_with(b".claude"), "{stored:?}");
        for part in [&live, &place].into_iter().flat_map(|path| path.components()) {
            assert!(matches!(part, Component::Normal(_) | Component::RootDir), "{part:?}");
            assert!(!part.as_os_str().as_bytes().contains(&0));
        }
    }
    assert!(!shown(path.as_path()).contains(char::is_control));
}

fuzz_target!(|data: &[u8]| {
    let raw = Path::new(OsStr::from_bytes(data));
    for path in [HeldPath::new(raw), HeldPath::in_claude_dir(raw)].into_iter().flatten() {
        stays(&path);
        let json = serde_json::to_vec(&path).expect("any path is written");
        assert_eq!(serde_json::from_slice::<HeldPath>(&json).expect("and read"), path);
        assert_eq!(HeldPath::new(path.as_path()), Some(path));
    }
    let Ok(manifest) = serde_json::from_slice::<Manifest>(data) else { return };
    for entry in &manifest.entries {
        stays(&entry.path);
        let _ = entry.mtime.system();
        if let Kind::File(held) = &entry.kind {
            let _ = held.live.mtime.system();
        }
    }
    manifest.left_out.iter().for_each(|one| stays(&one.path));
    let again = serde_json::to_vec(&manifest).expect("what was read is written");
    let again: Manifest = serde_json::from_slice(&again).expect("and read");
    assert_eq!(again.entries, manifest.entries);
    assert_eq!(again.left_out, manifest.left_out);
});
