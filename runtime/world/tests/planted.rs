//! The planted bugs of `runtime/world/planted` can still be applied to the sources.

use std::path::Path;

/// The lines that a hunk finds, the file that it changes, and its first line in the patch.
fn hunks(patch: &str) -> Vec<(String, String)> {
    let (mut file, mut hunks) = (String::new(), Vec::<(String, String)>::new());
    for line in patch.lines() {
        if let Some(path) = line.strip_prefix("+++ b/") {
            path.clone_into(&mut file);
        } else if line.starts_with("@@") {
            hunks.push((file.clone(), String::new()));
        } else if let Some((_, found)) = hunks.last_mut()
            && let Some(text) = line.strip_prefix([' ', '-']).filter(|_| !line.starts_with("--- "))
        {
            found.push_str(text);
            found.push('\n');
        }
    }
    hunks
}

#[test]
fn planted_bugs_can_be_applied() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let patch = std::fs::read_to_string(root.join("runtime/world/planted/bugs.patch")).expect("the patch");
    let hunks = hunks(&patch);
    assert!(hunks.len() > 30);
    for (file, found) in hunks {
        let source =
            std::fs::read_to_string(root.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&found), "{file} does not contain:\n{found}");
    }
}
