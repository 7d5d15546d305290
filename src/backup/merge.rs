//! Puts live values back where a snapshot holds masks, so that a mask is never restored as if
//! it were a value. Pure: documents in, a document out.

use serde_json::Value;

use super::secret::MASK;

/// The snapshot's document with each masked value taken from the live one. Where the live
/// document has none, the member is left out (a mask would be used as a wrong key); such
/// pointers are returned.
#[must_use]
pub fn merge(mut held: Value, live: Option<&Value>, masked: &[String]) -> (Value, Vec<String>) {
    let mut missing = Vec::new();
    // From the back: elements of an array are removed without moving those still to come.
    for pointer in masked.iter().rev() {
        if held.pointer(pointer).is_none_or(|value| value != MASK) {
            continue;
        }
        match live.and_then(|live| live.pointer(pointer)) {
            Some(value) => {
                if let Some(place) = held.pointer_mut(pointer) {
                    *place = value.clone();
                }
            }
            None => {
                remove(&mut held, pointer);
                missing.push(pointer.clone());
            }
        }
    }
    missing.reverse();
    (held, missing)
}

fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.shift_remove(&last.replace("~1", "/").replace("~0", "~"));
        }
        // Arguments keep their places: the gap is left to see, and is reported.
        Some(Value::Array(elements)) => {
            if let Some(element) =
                last.parse().ok().and_then(|index: usize| elements.get_mut(index))
            {
                *element = Value::from("");
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mask_never_replaces_a_live_value_nor_stands_as_one() {
        let held =
            json!({"env": {"KEY": MASK, "GONE": MASK}, "model": "old", "args": ["-t", MASK]});
        let live = json!({"env": {"KEY": "live"}, "model": "new"});
        let masked = ["/env/KEY", "/env/GONE", "/args/1"].map(str::to_owned);
        let (merged, missing) = merge(held, Some(&live), &masked);
        assert_eq!(merged, json!({"env": {"KEY": "live"}, "model": "old", "args": ["-t", ""]}));
        assert_eq!(missing, ["/env/GONE", "/args/1"]);
    }
}
