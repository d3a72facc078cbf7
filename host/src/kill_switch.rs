//! The kill switch: everything stops at once, also while the journal cannot commit.
//!
//! Memory first, then a file, then the record. The file outlives the process, and can be written while it does not run;
//! it only ever denies, so nothing needs to vouch for it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use balm_core::record::Person;

/// The name of the file in the data directory.
const FILE: &str = "STOPPED";

/// Whether everything is stopped.
pub(crate) struct KillSwitch {
    engaged: AtomicBool,
    file: PathBuf,
}

impl KillSwitch {
    /// As the file says.
    pub(crate) fn new(data: &Path) -> Self {
        let file = data.join(FILE);
        Self { engaged: AtomicBool::new(file.exists()), file }
    }

    /// Whether nothing may be done.
    pub(crate) fn is_engaged(&self) -> bool {
        self.engaged.load(Ordering::SeqCst)
    }

    /// Stop everything now. An error is of the file alone: the memory is engaged in any case.
    pub(crate) fn engage(&self, by: &Person) -> io::Result<()> {
        self.engaged.store(true, Ordering::SeqCst);
        write(&self.file, by)
    }

    /// Go on. The record that says so is durable before this is called.
    pub(crate) fn release(&self) -> io::Result<()> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.engaged.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Who wrote the file, and why, as far as it says.
    pub(crate) fn written_by(&self) -> Option<Person> {
        let text = fs::read_to_string(&self.file).ok()?;
        let (who, why) = text.split_once('\n').unwrap_or(("", &text));
        let or =
            |text: &str, otherwise: &str| if text.trim().is_empty() { otherwise.into() } else { text.trim().into() };
        Some(Person { who: or(who, "somebody"), why: or(why, "the file STOPPED was found") })
    }
}

/// Write the file of a host that does not run.
pub(crate) fn write_offline(data: &Path, by: &Person) -> io::Result<()> {
    write(&data.join(FILE), by)
}

fn write(file: &Path, by: &Person) -> io::Result<()> {
    use io::Write as _;
    let mut opened = fs::File::create(file)?;
    writeln!(opened, "{}\n{}", by.who, by.why)?;
    opened.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;

    fn ada() -> Person {
        Person { who: "ada".into(), why: "something is wrong".into() }
    }

    #[test]
    fn it_outlives_the_process_and_says_who_and_why() {
        let dir = TestDir::new("kill-switch");
        assert!(!KillSwitch::new(dir.path()).is_engaged());
        KillSwitch::new(dir.path()).engage(&ada()).unwrap();
        let next = KillSwitch::new(dir.path());
        assert!(next.is_engaged());
        assert_eq!(next.written_by(), Some(ada()));
        next.release().unwrap();
        assert!(!next.is_engaged() && !KillSwitch::new(dir.path()).is_engaged());
    }

    #[test]
    fn it_is_engaged_even_if_the_file_cannot_be_written() {
        let switch = KillSwitch::new(Path::new("/nowhere/at/all"));
        assert!(switch.engage(&ada()).is_err());
        assert!(switch.is_engaged());
    }

    #[test]
    fn a_file_written_by_hand_counts_whatever_it_says() {
        let dir = TestDir::new("kill-switch-by-hand");
        fs::write(dir.path().join(FILE), "").unwrap();
        let switch = KillSwitch::new(dir.path());
        assert!(switch.is_engaged());
        assert_eq!(switch.written_by().map(|by| by.who), Some("somebody".into()));
    }
}
