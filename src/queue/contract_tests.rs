//! What every engine must do. One suite, run on each.

use super::store::{Store, StoreError};
use super::task::{NewTask, Spec, State};

fn new(name: &str) -> NewTask {
    NewTask {
        name: name.to_owned(),
        priority: 0,
        account: "/home/person/.claude".to_owned(),
        not_before: None,
        spec: Spec { prompt: format!("do {name}"), ..Spec::default() },
    }
}

fn names(store: &dyn Store, states: &[State]) -> Vec<String> {
    store.list(states, None).expect("it lists").into_iter().map(|task| task.name).collect()
}

/// `open` opens the same store again, as another process would.
pub(super) fn holds<S: Store>(open: &(dyn Fn() -> S + Sync)) {
    tasks_of_one_list_may_wait_for_each_other(open);
    claims_are_made_once(open);
    adds_all_or_none_in_order(open);
    of_two_who_change_a_task_one_is_told(open);
    a_key_lives_once(open);
    notes_are_shared(open);
    what_ended_long_ago_is_forgotten(open);
}

fn adds_all_or_none_in_order<S: Store>(open: &dyn Fn() -> S) {
    let (mut one, other) = (open(), open());
    let urgent = NewTask { priority: 5, ..new("urgent") };
    let ids = one.add(&[new("a"), new("b"), urgent]).expect("they are added");
    assert_eq!(names(&other, &[State::Queued]), ["urgent", "a", "b"]);
    assert_eq!(other.list(&[State::Queued], Some(1)).expect("it lists").len(), 1);
    let task = other.get(ids[1]).expect("it reads").expect("it is there");
    assert_eq!((task.spec.prompt.as_str(), task.state), ("do b", State::Queued));
    assert_ne!(task.token, other.get(ids[0]).expect("reads").expect("there").token);
    assert!(other.get(ids[2] + 1000).expect("it reads").is_none());
    // Before the first, after the last.
    let mut last = other.get(ids[1]).expect("it reads").expect("it is there");
    last.position -= 10.0;
    assert!(one.save(&mut last).expect("it saves"));
    assert_eq!(names(&other, &[State::Queued]), ["urgent", "b", "a"]);
    for id in ids {
        let mut task = one.get(id).expect("it reads").expect("it is there");
        task.state = State::Removed;
        assert!(one.save(&mut task).expect("it saves"));
    }
    assert!(names(&other, &[State::Queued]).is_empty());
}

fn of_two_who_change_a_task_one_is_told<S: Store>(open: &dyn Fn() -> S) {
    let (mut one, mut other) = (open(), open());
    let id = one.add(&[new("claimed")]).expect("it is added")[0];
    let mut mine = one.get(id).expect("it reads").expect("it is there");
    let mut theirs = other.get(id).expect("it reads").expect("it is there");
    mine.state = State::Running;
    mine.owner = Some("here".to_owned());
    theirs.state = State::Running;
    theirs.owner = Some("there".to_owned());
    assert!(one.save(&mut mine).expect("it saves"));
    assert!(!other.save(&mut theirs).expect("it is told"));
    let held = other.get(id).expect("it reads").expect("it is there");
    assert_eq!(held.owner.as_deref(), Some("here"));
    assert_eq!(held, mine, "what was saved is what is read, version and all");
    mine.state = State::Removed;
    assert!(one.save(&mut mine).expect("it saves again"));
}

fn tasks_of_one_list_may_wait_for_each_other<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    let mut second = new("second");
    second.spec.after = vec![-1];
    let ids = store.add(&[new("first"), second]).expect("they are added");
    let task = store.get(ids[1]).expect("it reads").expect("it is there");
    assert_eq!(task.spec.after, [ids[0]]);
    for id in ids {
        let mut task = store.get(id).expect("it reads").expect("it is there");
        task.state = State::Removed;
        assert!(store.save(&mut task).expect("it saves"));
    }
}

/// Each of many claims by many is made once.
fn claims_are_made_once<S: Store>(open: &(dyn Fn() -> S + Sync)) {
    let many: Vec<NewTask> = (0..40).map(|number| new(&number.to_string())).collect();
    let ids = open().add(&many).expect("they are added");
    let claimed: Vec<i64> = std::thread::scope(|scope| {
        let claim = || {
            let mut store = open();
            let mut mine = Vec::new();
            for id in &ids {
                let mut task = store.get(*id).expect("it reads").expect("it is there");
                if task.state == State::Queued {
                    task.state = State::Done;
                    task.ended = Some(1);
                    mine.extend(store.save(&mut task).expect("it saves").then_some(*id));
                }
                store.add_to_note("sum", 1.0).expect("it adds");
            }
            mine
        };
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(claim)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
    });
    let mut once = claimed.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!((claimed.len(), once), (ids.len(), ids));
    let sum = open().note("sum").expect("it reads").expect("it is noted");
    assert_eq!(sum.parse(), Ok(120.0));
    open().forget(2).expect("it forgets");
}

fn a_key_lives_once<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    let mut keyed = new("keyed");
    keyed.spec.key = Some("gh-7".to_owned());
    let first = store.add(std::slice::from_ref(&keyed)).expect("it is added");
    assert_eq!(open().add(&[keyed.clone(), new("beside")]).expect("added")[0], first[0]);
    let mut task = store.get(first[0]).expect("it reads").expect("it is there");
    task.state = State::Done;
    assert!(store.save(&mut task).expect("it saves"));
    let second = store.add(&[keyed]).expect("it is added");
    assert_ne!(second, first, "the first is done");
    task.state = State::Queued;
    let error = store.save(&mut task).expect_err("the second lives");
    assert!(matches!(error, StoreError::Other(_)), "{error}");
}

fn notes_are_shared<S: Store>(open: &dyn Fn() -> S) {
    let (mut one, mut other) = (open(), open());
    assert_eq!(other.note("paused").expect("it reads"), None);
    one.set_note("paused", Some("by hand")).expect("it is noted");
    one.set_note("paused", Some("till noon")).expect("it is noted");
    assert_eq!(other.note("paused").expect("it reads").as_deref(), Some("till noon"));
    other.set_note("paused", None).expect("it is struck out");
    assert_eq!(one.note("paused").expect("it reads"), None);
    one.add_to_note("spent", 0.5).expect("it adds");
    let sum = other.add_to_note("spent", 0.25).expect("it adds");
    assert!((sum - 0.75).abs() < 1e-9, "{sum}");
    assert_eq!(one.note("spent").expect("it reads").as_deref(), Some("0.75"));
    // Of two who would note something, one does.
    let swap = |store: &mut S, old, new| store.swap_note("lead", old, new).expect("it swaps");
    assert!(swap(&mut one, None, Some("mine")));
    assert!(!swap(&mut other, None, Some("theirs")));
    assert!(!swap(&mut other, Some("theirs"), None));
    assert!(swap(&mut other, Some("mine"), Some("theirs")));
    assert!(!swap(&mut one, Some("mine"), Some("mine again")));
    assert!(!swap(&mut one, None, None));
    assert!(swap(&mut one, Some("theirs"), None));
    assert!(swap(&mut one, None, None));
}

fn what_ended_long_ago_is_forgotten<S: Store>(open: &dyn Fn() -> S) {
    let mut store = open();
    let ids = store.add(&[new("old"), new("young"), new("waits")]).expect("they are added");
    for (id, ended) in ids.iter().zip([Some(1000), Some(3000), None]) {
        let mut task = store.get(*id).expect("it reads").expect("it is there");
        task.ended = ended;
        task.state = if ended.is_some() { State::Done } else { State::Queued };
        assert!(store.save(&mut task).expect("it saves"));
    }
    assert_eq!(store.forget(2000).expect("it forgets"), 1);
    assert!(store.get(ids[0]).expect("it reads").is_none());
    assert!(store.get(ids[1]).expect("it reads").is_some());
    assert!(store.get(ids[2]).expect("it reads").is_some());
}
