//! Finds a Java that Kafka runs on.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Error, process};

/// The lowest major version that runs Kafka 4.
const MAJOR_MIN: u32 = 17;

/// Printing a version takes 40 ms. A Java that needs this long is broken.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// A Java of a sufficient version.
#[derive(Clone, Debug)]
pub(super) struct Java {
    pub(super) program: PathBuf,
    /// The version in its own words, for example `17.0.15`.
    pub(super) version: String,
}

impl Java {
    /// The Java of `JAVA_HOME`, else the one on the path.
    pub(super) fn find() -> Result<Java, Error> {
        let program = match env::var_os("JAVA_HOME").filter(|home| !home.is_empty()) {
            Some(home) => PathBuf::from(home).join("bin").join("java"),
            None => PathBuf::from("java"),
        };
        let mut command = Command::new(&program);
        command
            .arg("-version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::JavaMissing,
            _ => Error::at(&program)(error),
        })?;
        // The output is a few lines, far less than a pipe holds. So the process can end before they are read.
        if process::wait(&mut child, VERSION_LIMIT)
            .map_err(Error::at(&program))?
            .is_none()
        {
            process::kill(&mut child).map_err(Error::at(&program))?;
        }
        let output = child.wait_with_output().map_err(Error::at(&program))?;
        let said = String::from_utf8_lossy(&output.stderr);
        match version(&said) {
            Some((version, major)) if major >= MAJOR_MIN => Ok(Java {
                program,
                version: version.to_owned(),
            }),
            Some((version, _)) => Err(Error::JavaTooOld {
                found: version.to_owned(),
            }),
            None => Err(Error::JavaTooOld {
                found: said.lines().next().unwrap_or("silent").to_owned(),
            }),
        }
    }
}

/// The version in the output of `java -version`, and its major number: `1.8.0_292` is 8.
fn version(said: &str) -> Option<(&str, u32)> {
    let version = said.split_once("version \"")?.1.split('"').next()?;
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    let major = match numbers.next()?.ok()? {
        1 => numbers.next()?.ok()?,
        major => major,
    };
    Some((version, major))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_old_and_new_are_understood() {
        assert_eq!(
            version("openjdk version \"17.0.15\" 2025-04-15\n"),
            Some(("17.0.15", 17))
        );
        assert_eq!(
            version("Picked up X: -Dy\nopenjdk version \"21-ea\" 2023\n"),
            Some(("21-ea", 21))
        );
        assert_eq!(
            version("java version \"1.8.0_292\"\n"),
            Some(("1.8.0_292", 8))
        );
        assert_eq!(version("java version \"11\"\n"), Some(("11", 11)));
        assert_eq!(version("No Java runtime present"), None);
        assert_eq!(version("openjdk version \"x\""), None);
    }
}
