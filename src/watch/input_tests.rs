//! Keys and reports in every form, cut anywhere.

use proptest::prelude::*;

use super::*;

fn inputs(bytes: &[u8]) -> Vec<Input> {
    InputSplitter::default().split(bytes).into_iter().map(|piece| piece.input).collect()
}

fn key(key: Key) -> Vec<Input> {
    vec![Input::Key(key)]
}

#[test]
fn what_a_terminal_says_by_itself_is_not_typing() {
    let reports: &[&[u8]] = &[
        b"\x1b[I",
        b"\x1b[O",
        b"\x1b[?62;4;22c",
        b"\x1b[>1;10;0c",
        b"\x1b[?2026;2$y",
        b"\x1b[?1016;0$y",
        b"\x1b[24;80R",
        b"\x1b[?24;80R",
        b"\x1b[?0u",
        b"\x1b[?5u",
        b"\x1b[?997;1n",
        b"\x1b[0n",
        b"\x1b[<0;12;4M",
        b"\x1b[<0;12;4m",
        b"\x1b[<65;12;4M",
        b"\x1b[M !!",
        b"\x1b[M\x20\x1b\x03",
        b"\x1b[32;12;4M",
        b"\x1b[6;18;9t",
        b"\x1b[48;24;80;0;0t",
        b"\x1b]11;rgb:1111/2222/3333\x1b\\",
        b"\x1b]11;rgb:1111/2222/3333\x07",
        b"\x1bP>|XTerm(388)\x1b\\",
        b"\x1bP1+r\x1b\\",
        b"\x1b_Gi=31;OK\x1b\\",
    ];
    for report in reports {
        assert_eq!(inputs(report), [Input::Report], "{:?}", report.escape_ascii().to_string());
    }
}

#[test]
fn keys_are_told_in_plain_kitty_and_modify_other_keys_form() {
    for (bytes, wanted) in [
        (&b"\r"[..], Key::Enter),
        (b"\x1b[13u", Key::Enter),
        (b"\x03", Key::Interrupt),
        (b"\x1b[99;5u", Key::Interrupt),
        (b"\x1b[27;5;99~", Key::Interrupt),
        (b"\x04", Key::EndOfFile),
        (b"\x1b[100;5u", Key::EndOfFile),
        (b"\x1a", Key::Suspend),
        (b"\x1b[122;5u", Key::Suspend),
        (b"\x1b[122;69u", Key::Suspend),
        (b"\x1b[122:90;5:1u", Key::Suspend),
        (b"\x1b[27;5;122~", Key::Suspend),
        (b"\x1b", Key::Escape),
        (b"\x1b[27u", Key::Escape),
        (b"\x1b[122;6u", Key::Other),
        (b"\x1b[A", Key::Move),
        (b"\x1bOP", Key::Move),
        (b"\x1b[1;5R", Key::Move),
        (b"\x1b[3~", Key::Other),
        (b"\x1bb", Key::Other),
        (b"\x1b\x7f", Key::Other),
        (b"\x7f", Key::Other),
        (b"\n", Key::Other),
        (b"\x1b[Z", Key::Move),
        (b"\x1b[1;3D", Key::Move),
        (b"\x1bOA", Key::Move),
        (b"\x1b[H", Key::Move),
        (b"\x1b[5~", Key::Move),
        (b"\x1b[15;2~", Key::Move),
        (b"\x0c", Key::Move),
        (b"\x1b[108;5u", Key::Move),
        (b"\x1b[57441;2u", Key::Move),
        (b"\x1b[57399u", Key::Other),
        (b"\x1b[9u", Key::Other),
        (b"\t", Key::Other),
        (b"\x1b]", Key::Other),
    ] {
        assert_eq!(inputs(bytes), key(wanted), "{:?}", bytes.escape_ascii().to_string());
    }
    assert_eq!(inputs("grün".as_bytes()), [Input::Text]);
    assert_eq!(inputs("\u{1b}é".as_bytes())[0], Input::Key(Key::Other));
}

#[test]
fn ctrl_z_in_a_paste_is_text_and_its_place_outside_of_one_is_told() {
    assert_eq!(inputs(b"\x1b[200~a\x1ab\x1b[201~"), [Input::Paste]);
    assert_eq!(
        InputSplitter::default().split(b"ab\x1acd"),
        [
            Piece { input: Input::Text, end: 2 },
            Piece { input: Input::Key(Key::Suspend), end: 3 },
            Piece { input: Input::Text, end: 5 },
        ]
    );
}

#[test]
fn a_paste_over_many_chunks_is_told_with_each_and_its_end_is_found() {
    let mut splitter = InputSplitter::default();
    let mut all = Vec::new();
    for chunk in [&b"\x1b[200~one\x1b[20"[..], b"0~two\x1b", b"[201", b"~x"] {
        all.push(splitter.split(chunk).into_iter().map(|p| p.input).collect::<Vec<_>>());
    }
    let paste = vec![Input::Paste];
    assert_eq!(all, [paste.clone(), paste.clone(), paste, vec![Input::Paste, Input::Text]]);
}

#[test]
fn an_answer_broken_off_by_an_esc_of_the_chunk_before_is_survived() {
    let mut splitter = InputSplitter::default();
    splitter.split(b"\x1b]11;x\x1b");
    let told: Vec<Input> = splitter.split(b"x").into_iter().map(|p| p.input).collect();
    assert_eq!(told, [Input::Key(Key::Other), Input::Key(Key::Other)]);
}

#[test]
fn alt_with_a_bracket_does_not_hide_the_keys_that_follow() {
    let mut splitter = InputSplitter::default();
    assert!(splitter.split(b"\x1b]").iter().any(|piece| piece.input.is_typing()));
    splitter.split(b"h");
    let wanted = [Input::Key(Key::Other), Input::Key(Key::Interrupt)];
    let pieces: Vec<Input> = splitter.split(b"\x03").into_iter().map(|p| p.input).collect();
    assert_eq!(pieces, wanted);
}

/// A stretch with its place in the whole input.
fn absolute(chunks: &[&[u8]]) -> Vec<(Input, usize)> {
    let mut splitter = InputSplitter::default();
    let mut before = 0;
    let mut all: Vec<(Input, usize)> = Vec::new();
    for chunk in chunks {
        for piece in splitter.split(chunk) {
            let joins = matches!(piece.input, Input::Text | Input::Paste);
            match all.last_mut() {
                Some(last) if joins && last.0 == piece.input => last.1 = before + piece.end,
                _ => all.push((piece.input, before + piece.end)),
            }
        }
        before += chunk.len();
    }
    all
}

fn sequences() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"hello",
        b"\r",
        b"\x03",
        b"\x1a",
        b"\x1b[I",
        b"\x1b[?62c",
        b"\x1b[A",
        b"\x1bOP",
        b"\x1b[122;5u",
        b"\x1b[27;5;122~",
        b"\x1b[<0;1;2M",
        b"\x1b[M !!",
        b"\x1bb",
        b"\x1b[200~p\x1aste\x1b[201~",
        b"\x1b]11;rgb:0/0/0\x1b\\",
        b"\x1bP>|x\x1b\\",
        "❯é".as_bytes(),
        b"\x1b[24;80R",
        b"\x1b_G\x1b\\",
        b"\x7f",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..20)
        .prop_map(|pieces| pieces.concat())
}

/// Cuts at these places, except where a chunk would end within the first two bytes of a
/// sequence: there a key is told, rightly.
fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.retain(|place| {
        let before = |back: usize| place.checked_sub(back).and_then(|at| bytes.get(at));
        before(1) != Some(&0x1b) && before(2) != Some(&0x1b)
    });
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn chunking_does_not_change_what_is_told(
        bytes in sequences(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        prop_assert_eq!(absolute(&cut(&bytes, &cuts)), absolute(&[&bytes]));
    }

    #[test]
    fn any_bytes_in_any_chunks_are_survived_and_offsets_rise_within_the_chunk(
        chunks in prop::collection::vec(prop::collection::vec(
            prop_oneof![any::<u8>(), Just(0x1b), Just(b'['), Just(b'\\'), Just(b'~')],
            0..40), 0..10),
    ) {
        let mut splitter = InputSplitter::default();
        for chunk in &chunks {
            let mut last = 0;
            for piece in splitter.split(chunk) {
                prop_assert!(piece.end <= chunk.len());
                prop_assert!(piece.end >= last);
                last = piece.end;
            }
        }
    }
}
