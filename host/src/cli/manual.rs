//! The command line about itself: completions for shells, the man page, and the reference of the book.

use clap::{Command, CommandFactory as _, ValueEnum};
use clap_complete::Shell;

use super::{Cli, out};

/// How the manual is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// For `man`.
    Roff,
    /// For the book.
    Markdown,
}

/// Write the completions of a shell.
pub(super) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "balm", &mut script);
    out::write(script)?;
    Ok(())
}

/// Write the whole manual.
pub(super) fn run(format: Format) -> anyhow::Result<()> {
    let page = match format {
        Format::Roff => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            page
        }
        Format::Markdown => markdown().into_bytes(),
    };
    out::write(page)?;
    Ok(())
}

/// Every command with its help, as it is printed on a wide terminal.
fn markdown() -> String {
    let mut text = String::from("# The command line\n\nWritten by `cargo xtask docs` from the program itself.\n");
    let mut command = Cli::command().term_width(100);
    command.build();
    chapter(&mut text, "balm", &mut command);
    text
}

fn chapter(text: &mut String, name: &str, command: &mut Command) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    let known = |command: &&mut Command| !command.is_hide_set() && command.get_name() != "help";
    for sub in command.get_subcommands_mut().filter(known) {
        chapter(text, &format!("{name} {}", sub.get_name()), sub);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_says_what_it_does() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            assert!(sub.get_about().is_some(), "{} has no help", sub.get_name());
        }
    }

    #[test]
    fn the_reference_has_a_chapter_for_each_command_and_none_for_hidden_ones() {
        let text = markdown();
        for chapter in ["## balm\n", "## balm init\n", "## balm audit show\n"] {
            assert!(text.contains(chapter), "{chapter:?}");
        }
        assert!(!text.contains("probe-audit"), "hidden commands stay hidden");
    }
}
