//! The report's page in a real browser: whole, quiet, readable in light and dark, on a telephone
//! too, and deaf to hostile names.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::journal::{BARS, MARKUP, SINCE, UNTIL, night, run, write};

/// Text against what lies behind it (4.5 to 1), shapes against their ground (3 to 1).
const CONTRAST: &str = r"
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const f = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const ratio = (a, b) => {
    const [x, y] = [light(rgb(a)), light(rgb(b))];
    return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if ((rgb(colour)[3] ?? 1) > 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const bad = [];
  let seen = 0;
  for (const element of document.body.querySelectorAll('*')) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || element.closest('title, desc')) continue;
    const style = getComputedStyle(element);
    const colour = element.namespaceURI.endsWith('svg') ? style.fill : style.color;
    seen += 1;
    if (ratio(colour, behind(element)) < 4.5) bad.push([element.outerHTML.slice(0, 80), colour]);
  }
  const ground = getComputedStyle(document.querySelector('.ground')).fill;
  for (const name of ['working', 'trying', 'fixing', 'stopped', 'hatch-line']) {
    const shape = document.querySelector('svg.timeline .' + name);
    const colour = getComputedStyle(shape).fill;
    if (ratio(colour, ground) < 3) bad.push([name, colour, ground]);
  }
  return { seen, bad, page: behind(document.body) };
";

#[test]
fn the_page_is_whole_quiet_readable_and_deaf_to_hostile_names() {
    let state = tempfile::tempdir().expect("a temporary directory");
    write(state.path(), &night());
    let file = state.path().join("night.html");
    let html = file.to_str().expect("UTF-8");
    let args = ["report", "--html", html, "--since", SINCE, "--until", UNTIL];
    let (code, out, err) = run(state.path(), &args);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let browser = Browser::start();
    browser.open(&file);

    // The picture: as many bars as there were stretches, each with its words.
    let count = |selector: &str| {
        browser.eval(&format!("return document.querySelectorAll({}).length", json!(selector)))
    };
    assert_eq!(count("svg.timeline rect.bar"), BARS);
    assert_eq!(count("svg.timeline rect.bar > title"), BARS);
    assert_eq!(count("svg.timeline circle.recovered"), 3);
    assert_eq!(count("svg.timeline line.failed"), 5);
    assert_eq!(count("table tbody tr"), BARS, "the same as a table");
    let waiting = "return [...document.querySelectorAll('rect.waiting')].map(r => \
                   Math.round(r.getBoundingClientRect().width / \
                   r.ownerSVGElement.getBoundingClientRect().width * 720))";
    let mut waits: Vec<i64> = serde_json::from_value(browser.eval(waiting)).expect("widths");
    waits.retain(|minutes| *minutes > 0);
    waits.sort_unstable();
    // The legend's own swatch is as wide as its picture.
    assert_eq!(waits, [10, 20, 25, 60, 720], "minutes of waiting, as drawn");

    // Its names: the title and the description are what a screen reader says.
    let named = "const svg = document.querySelector('svg.timeline'); return svg.role + '|' + \
                 svg.getAttribute('aria-labelledby').split(' ').map(id => \
                 document.getElementById(id).textContent).join('|')";
    let named = browser.eval(named);
    let named = named.as_str().expect("text");
    assert!(named.starts_with("img|Timeline of 4 runs|One row for each run"), "{named}");

    // Hostile names are text.
    assert_eq!(browser.eval("return document.title"), "claude-safe report");
    assert_eq!(count("script, img, iframe, link, object"), 0);
    let shown = browser.eval("return document.body.innerText");
    assert!(shown.as_str().expect("text").contains(MARKUP), "{shown}");
    assert!(!shown.as_str().expect("text").contains('\u{202e}'));

    // Nothing is loaded from anywhere, and the console has nothing to say.
    assert_eq!(browser.eval("return performance.getEntriesByType('resource').length"), 0);
    assert_eq!(browser.console(), Vec::<Value>::new());

    // Every width; the details open too.
    browser.eval("document.querySelectorAll('details').forEach(d => d.open = true)");
    for width in [1000, 600, 360, 320] {
        browser.resize(width);
        let wide = browser.eval(
            "return [document.documentElement.scrollWidth <= innerWidth, innerWidth, \
             [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg') && \
             e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 99))]",
        );
        assert_eq!(wide, json!([true, width, []]), "at {width}");
        let cut = browser.eval(
            "const clash = []; for (const run of document.querySelectorAll('g.run')) { \
             const box = (name) => run.querySelector(name).getBoundingClientRect(); \
             const whole = run.ownerSVGElement.getBoundingClientRect(); \
             const label = run.querySelector('.label'); \
             const cut = getComputedStyle(label).overflow === 'hidden'; \
             const end = whole.left + whole.width * parseFloat(label.getAttribute('width')) / 100; \
             if (!cut || end > box('.end').left) clash.push(run.textContent); } \
             return clash",
        );
        assert_eq!(cut, json!([]), "names run into the exit codes at {width}");
    }

    // Both schemes.
    let mut pages = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        let found = browser.eval(CONTRAST);
        assert_eq!(found["bad"], json!([]), "{scheme}");
        assert!(found["seen"].as_u64() > Some(60), "{found}");
        pages.push(found["page"].clone());
    }
    assert_ne!(pages[0], pages[1], "dark is another page");
}

#[test]
fn a_page_without_runs_is_a_page() {
    let state = tempfile::tempdir().expect("a temporary directory");
    let file = state.path().join("night.html");
    let (code, ..) = run(state.path(), &["report", "--html", file.to_str().expect("UTF-8")]);
    assert_eq!(code, 0);
    let page = std::fs::read_to_string(&file).expect("written");
    assert!(page.contains("<h1>No run in this time</h1>"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing from elsewhere");
}
