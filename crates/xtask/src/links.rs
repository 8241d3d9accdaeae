//! Links between the repository's documents: each leads to a file, and to a heading in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Result, root};

/// Checks every Markdown file of the repository.
pub(crate) fn check() -> Result<String> {
    let root = root();
    let mut documents = Vec::new();
    find_documents(&root, &mut documents)?;
    documents.sort();
    let (mut links, mut broken) = (0, Vec::new());
    for document in &documents {
        let text = fs::read_to_string(document)?;
        for link in local_links(&text) {
            links += 1;
            if let Some(problem) = problem(document, &text, &link)? {
                let name = document.strip_prefix(&root).unwrap_or(document);
                broken.push(format!("{}: {link}: {problem}", name.display()));
            }
        }
    }
    match broken.as_slice() {
        [] => Ok(format!("{links} links in {} documents", documents.len())),
        _ => Err(format!("{} broken links\n  {}", broken.len(), broken.join("\n  ")).into()),
    }
}

/// Markdown files below a folder, without what is hidden or built.
fn find_documents(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            find_documents(&path, found)?;
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    Ok(())
}

/// Why a link leads nowhere.
fn problem(document: &Path, text: &str, link: &str) -> Result<Option<String>> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let folder = document.parent().unwrap_or(Path::new(""));
    let target = folder.join(file);
    if !file.is_empty() && !target.exists() {
        return Ok(Some("there is no such file".to_owned()));
    }
    if heading.is_empty() || !(file.is_empty() || file.ends_with(".md")) {
        return Ok(None);
    }
    let there = match file {
        "" => anchors(text),
        _ => anchors(&fs::read_to_string(&target)?),
    };
    Ok((!there.contains(heading)).then(|| "there is no such heading".to_owned()))
}

/// The targets of links that stay in the repository: `[text](target)` and `[name]: target`.
fn local_links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        let line = without_code(line);
        if let Some((_, target)) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
        {
            links.push(target.to_owned());
        }
        // A target ends where the bracket closes; a title may follow it inside.
        let targets = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        links.extend(targets.map(|(target, _)| target.to_owned()));
    }
    let local = |link: &&str| !link.contains("://") && !link.starts_with("mailto:");
    let first_words = links
        .iter()
        .filter_map(|link| link.split_whitespace().next());
    first_words.filter(local).map(str::to_owned).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .iter()
        .filter(|line| line.starts_with('#'))
        .map(|heading| anchor(heading.trim_start_matches('#').trim()))
        .collect()
}

fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'))
        .map(|character| if character == ' ' { '-' } else { character })
        .collect()
}

/// The lines outside code blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut in_code = false;
    text.lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            in_code ^= fence;
            !fence && !in_code
        })
        .collect()
}

/// A line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_that_stay_in_the_repository() {
        let text = "\
See [a](a.md) and [b](../b.md#top \"title\"), [web](https://example.org), [me](mailto:a@b.c).
`[no](code.md)`, ![image](i.png)
[name]: c.md
```
[no](block.md)
```
";
        assert_eq!(local_links(text), ["a.md", "../b.md#top", "i.png", "c.md"]);
    }

    #[test]
    fn headings_become_anchors_as_on_github() {
        let text = "# The `life` of a task\n## Stop, then: *go*\n```\n# no heading\n```\n";
        let expected = ["stop-then-go", "the-life-of-a-task"];
        assert_eq!(anchors(text), expected.map(str::to_owned).into());
    }

    #[test]
    fn a_link_must_lead_to_a_file_and_its_heading() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("page.md");
        let problem = |link| problem(&here, "# One", link).expect("files can be read");
        assert_eq!(problem("src/links.rs"), None);
        assert_eq!(problem("src/links.rs#L1"), None);
        assert_eq!(problem("#one"), None);
        assert_eq!(problem("gone.md").as_deref(), Some("there is no such file"));
        assert_eq!(problem("#two").as_deref(), Some("there is no such heading"));
    }
}
