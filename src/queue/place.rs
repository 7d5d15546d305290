//! Places as several hosts can share them: what lies in the home is kept as `~/…`, and is the
//! home of whoever reads it.

use std::path::{Path, PathBuf};

/// As it is kept.
#[must_use]
pub fn kept(path: &Path) -> PathBuf {
    let home = crate::paths::home();
    match path.strip_prefix(&home) {
        Ok(_) if home == Path::new("/") => path.to_owned(),
        Ok(rest) => Path::new("~").join(rest),
        Err(_) => path.to_owned(),
    }
}

/// As it is here.
#[must_use]
pub fn here(path: &Path) -> PathBuf {
    path.strip_prefix("~").map_or_else(|_| path.to_owned(), |rest| crate::paths::home().join(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_home_is_kept_so_and_nothing_else() {
        let home = crate::paths::home();
        assert_eq!(kept(&home.join("src/app")), Path::new("~/src/app"));
        assert_eq!(here(Path::new("~/src/app")), home.join("src/app"));
        for other in ["/srv/app", "/home-of-none/x", "~other/x"] {
            assert_eq!(kept(Path::new(other)), Path::new(other));
            assert_eq!(here(Path::new(other)), Path::new(other));
        }
    }
}
