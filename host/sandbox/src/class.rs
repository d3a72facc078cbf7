//! Size classes: what a component's size says of it, and so what compiling it may cost.
//!
//! It owns where one class ends and the next begins. It refuses to know what a class costs: whoever compiles decides that.

use std::{fmt, str::FromStr};

use crate::limits;

/// What a component is by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Code and little else: Rust, C, and JavaScript on QuickJS.
    Plain,
    /// With the runtime of a language inside: Python, SpiderMonkey, Go.
    Runtime,
}

impl Class {
    /// Both, the smaller first.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Runtime];

    /// The class of a component of so many bytes; none if it is too large for any.
    #[must_use]
    pub fn of(bytes: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|class| bytes <= class.most_bytes())
    }

    /// Bytes of the largest component of the class.
    #[must_use]
    pub const fn most_bytes(self) -> usize {
        match self {
            Self::Plain => limits::PLAIN_BYTES,
            Self::Runtime => limits::RUNTIME_BYTES,
        }
    }

    /// Bytes of the most native code that a component of the class may come to.
    #[must_use]
    pub const fn most_code_bytes(self) -> usize {
        match self {
            Self::Plain => limits::PLAIN_CODE_BYTES,
            Self::Runtime => limits::RUNTIME_CODE_BYTES,
        }
    }
}

impl FromStr for Class {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || format!("{word:?} is no class of plugins: write \"plain\" or \"runtime\"");
        Self::ALL.into_iter().find(|class| class.to_string() == word).ok_or_else(wrong)
    }
}

/// One word.
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Runtime => "runtime",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_in_the_smallest_class_that_it_fits() {
        for (bytes, class) in [
            (0, Some(Class::Plain)),
            (4 << 20, Some(Class::Plain)),
            ((4 << 20) + 1, Some(Class::Runtime)),
            (32 << 20, Some(Class::Runtime)),
            ((32 << 20) + 1, None),
        ] {
            assert_eq!(Class::of(bytes), class, "{bytes}");
        }
    }

    #[test]
    fn a_class_is_read_as_it_is_written() {
        for class in Class::ALL {
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        assert!("Plain".parse::<Class>().is_err_and(|why| why.contains("\"Plain\"")));
    }
}
