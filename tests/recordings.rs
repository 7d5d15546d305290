use claude_safe::watch::Screen;
#[test]
fn dump() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let index = std::fs::read_to_string(dir.join("INDEX.tsv")).unwrap();
    for line in index.lines().skip(1) {
        let f: Vec<&str> = line.split('\t').collect();
        let bytes = std::fs::read(dir.join(format!("{}.ansi", f[0]))).unwrap();
        let mut s = Screen::new(24, 80);
        s.feed(&bytes);
        let l = s.look();
        println!(
            "{:14} {:5} {} {:?} {:?} {:?} {:?} int={} lw={} tf={} so={} {:?}",
            f[4],
            f[5],
            f[0],
            l.title,
            l.input,
            l.panel,
            l.retrying,
            l.interruptible,
            l.limit_wait,
            l.transcript_failing,
            l.signed_out,
            l.vim
        );
    }
}
