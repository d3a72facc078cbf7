//! The book does what it says: every command and every file in it, typed by a reader against a scratch host.

use std::{
    fs,
    path::{Path, PathBuf},
};

use balm_cloud::{Lag, Options, Span};
use balm_tests::{
    book::{self, Reader},
    harness::{Dir, cloud::Cloud, host::Files},
    reference,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| unreadable(name, &error))
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn unreadable(name: &str, error: &std::io::Error) -> ! {
    panic!("{name}: {error}")
}

/// All pages of the book.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    let mut dirs = vec![root().join("docs")];
    while let Some(dir) = dirs.pop() {
        for path in fs::read_dir(dir).expect("a directory").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path.strip_prefix(root()).expect("it is below").display().to_string());
            }
        }
    }
    pages.sort();
    pages
}

#[test]
fn the_tutorial_leads_from_nothing_to_a_verified_remediation() {
    let dir = Dir::new("tutorial");
    Reader::sitting_in(dir.path()).follow("docs/tutorial.md", &page("docs/tutorial.md"));
}

#[test]
fn the_readme_leads_from_an_empty_host_to_a_policy_that_can_act() {
    let dir = Dir::new("readme");
    Reader::sitting_in(dir.path()).follow("README.md", &page("README.md"));
}

#[test]
fn every_how_to_does_what_it_says() {
    let span = |least, most| Span::between(least, most).expect("least is not above most");
    let lag = Lag { start_ms: span(50, 200), stop_ms: span(20, 50), scheduler_ms: span(5, 30) };
    for name in pages().iter().filter(|name| name.starts_with("docs/how-to/")) {
        println!("{name}");
        let cloud = Cloud::start(11, Options { lag, ..Options::default() }, None);
        cloud.create_service("web", 4);
        let short = name.rsplit('/').next().expect("a name").trim_end_matches(".md");
        let files = Files::new(Dir::new(&format!("how-to-{short}")), &cloud.endpoint());
        let mut reader = Reader::sitting_in(&files.path("")).with_cloud(&cloud);
        reader.follow(name, "```console\n$ export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test\n```\n");
        reader.follow(name, &page(name));
    }
}

#[test]
#[should_panic(expected = "it does not print \"two\"")]
fn a_page_that_promises_what_is_not_printed_is_noticed() {
    let dir = Dir::new("docs-promise");
    Reader::sitting_in(dir.path()).follow("page.md", "```console\n$ echo one\none\ntwo\n```\n");
}

#[test]
#[should_panic(expected = "neither a file nor typed")]
fn a_block_that_nobody_would_test_is_refused() {
    let dir = Dir::new("docs-untested");
    Reader::sitting_in(dir.path()).follow("page.md", "```toml\nlisten = 1\n```\n");
}

#[test]
fn every_link_of_the_book_leads_somewhere_and_every_page_is_in_the_summary() {
    let summary = page("docs/SUMMARY.md");
    for name in pages() {
        let dir = root().join(&name).parent().expect("a directory").to_path_buf();
        for link in links(&page(&name)).into_iter().filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().expect("the first part");
            assert!(dir.join(file).exists(), "{name}: {link} leads nowhere");
        }
        if let Some(inside) = name.strip_prefix("docs/").filter(|inside| *inside != "SUMMARY.md") {
            assert!(summary.contains(&format!("]({inside})")), "{name} is not in docs/SUMMARY.md");
        }
    }
}

/// The targets of inline links.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_block = false;
    for line in page.lines() {
        in_block ^= line.trim_start().starts_with("```");
        if !in_block {
            links.extend(line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())));
        }
    }
    links
}

#[test]
fn what_is_for_another_machine_names_commands_that_exist() {
    let reference = page("docs/reference/cli.md");
    for name in pages() {
        for block in book::blocks(&page(&name)).iter().filter(|block| block.is_elsewhere()) {
            let commands = block.text.lines().filter_map(|line| line.trim().strip_prefix("balm "));
            for command in commands {
                // A chapter for the command, and one for its subcommand where the second word is one.
                let mut words = command.split_whitespace();
                let first = words.next().unwrap_or_default();
                assert!(reference.contains(&format!("\n## balm {first}\n")), "{name}: there is no `balm {command}`");
                if reference.contains(&format!("\n## balm {first} ")) {
                    let second = words.next().unwrap_or_default();
                    let chapter = format!("\n## balm {first} {second}\n");
                    assert!(reference.contains(&chapter), "{name}: there is no `balm {command}`");
                }
            }
        }
    }
}

#[test]
fn the_reference_is_what_the_code_says() {
    let stale = reference::stale(&root().join("docs/reference"));
    assert!(stale.is_empty(), "stale, run `cargo xtask docs`: {stale:?}");
}

#[test]
fn the_reference_of_the_configuration_has_every_key_of_the_code_and_no_other() {
    let (code, book) = reference::configuration_keys(&root());
    assert!(code.len() > 30, "keys are found in the code: {code:?}");
    assert_eq!(code, book);
}
