//! Edits that a switch can stand for: they only put `true ||`, `&& false` or the like into the sources. All of these go
//! into one build, each behind its own switch, and one guard is taken away by an environment variable instead of a
//! compiler.

use crate::list::{Edit, Guard};

/// The environment variable that names the guard that is taken away.
pub(crate) const VARIABLE: &str = "REKEYD_WITHOUT";

/// What answers whether a guard is taken away; it goes to the end of the library.
pub(crate) const FUNCTION: &str = "
/// Whether this guard is taken away.
#[doc(hidden)]
pub fn without(guard: &str) -> bool {
    static TAKEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    TAKEN.get_or_init(|| std::env::var(\"REKEYD_WITHOUT\").ok()).as_deref() == Some(guard)
}
";

/// What is put before and behind a piece of the text. `{}` is the switch: on for the guard that is taken away.
const FORMS: [(&str, &str, &str, &str); 12] = [
    ("true || ", "", "{} || ", ""),
    ("false && ", "", "!{} && ", ""),
    ("", " && false", "", " && !{}"),
    ("", " || true", "", " || {}"),
    ("&& false ", "", "&& !{} ", ""),
    ("|| true ", "", "|| {} ", ""),
    ("", ".filter(|_| false)", "", ".filter(|_| !{})"),
    ("(true || ", ")", "({} || ", ")"),
    ("(false && ", ")", "(!{} && ", ")"),
    ("false && (", ")", "!{} && (", ")"),
    ("(", " || true)", "(", " || {})"),
    ("(", " && false)", "(", " && !{})"),
];

/// The same edit behind a switch, where one can stand for it.
fn switched(edit: &Edit, guard: &str) -> Option<Edit> {
    let switch = format!("crate::without({guard:?})");
    let find = edit.find.as_str();
    let cuts: Vec<usize> = (0..=find.len()).filter(|at| find.is_char_boundary(*at)).collect();
    let put = |put: String| Some(Edit { file: edit.file.clone(), find: edit.find.clone(), put });
    for (before, behind, on, off) in FORMS {
        for (index, from) in cuts.iter().enumerate() {
            for to in &cuts[index..] {
                let (head, middle, tail) = (&find[..*from], &find[*from..*to], &find[*to..]);
                if edit.put.len() == find.len() + before.len() + behind.len()
                    && edit.put == format!("{head}{before}{middle}{behind}{tail}")
                {
                    let (on, off) = (on.replace("{}", &switch), off.replace("{}", &switch));
                    return put(format!("{head}{on}{middle}{off}{tail}"));
                }
            }
        }
    }
    for (was, is, text) in [("false", "true", switch.clone()), ("true", "false", format!("!{switch}"))] {
        for (at, _) in find.match_indices(was) {
            let (head, tail) = (&find[..at], &find[at + was.len()..]);
            if edit.put == format!("{head}{is}{tail}") {
                return put(format!("{head}{text}{tail}"));
            }
        }
    }
    None
}

/// The edits of a guard behind its switch; `None` where one of them takes a compiler.
pub(crate) fn of(guard: &Guard) -> Option<Vec<Edit>> {
    guard.edits.iter().map(|edit| switched(edit, &guard.id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(find: &str, put: &str) -> Option<String> {
        let edit = Edit { file: "f".to_owned(), find: find.to_owned(), put: put.to_owned() };
        switched(&edit, "hold").map(|edit| edit.put)
    }

    #[test]
    fn what_only_adds_a_constant_is_switched() {
        for (find, changed, expected) in [
            ("if a && b {", "if true || a && b {", "if crate::without(\"hold\") || a && b {"),
            ("if a {", "if false && a {", "if !crate::without(\"hold\") && a {"),
            ("if a {", "if a && false {", "if a && !crate::without(\"hold\") {"),
            ("x.find(y)", "x.filter(|_| false).find(y)", "x.filter(|_| !crate::without(\"hold\")).find(y)"),
            ("a && b", "a && (true || b)", "a && (crate::without(\"hold\") || b)"),
            ("if a || b {", "if false && (a || b) {", "if !crate::without(\"hold\") && (a || b) {"),
            ("gate(x, false)", "gate(x, true)", "gate(x, crate::without(\"hold\"))"),
        ] {
            assert_eq!(put(find, changed).as_deref(), Some(expected), "{changed}");
        }
        for (find, changed) in [("a()", "b()"), ("FULL", "OFF"), ("a || b", "b")] {
            assert_eq!(put(find, changed), None, "{changed}");
        }
    }

    #[test]
    fn most_guards_need_no_compiler_of_their_own() {
        let guards = crate::list::load().expect("the list can be read");
        let switched = guards.iter().filter(|guard| of(guard).is_some()).count();
        assert!(switched * 10 >= guards.len() * 7, "{switched} of {}", guards.len());
        assert!(FUNCTION.contains(VARIABLE));
    }
}
