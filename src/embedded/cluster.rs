//! The values that stay the same for all starts of one directory: the cluster's ID and its size.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::Path;

use super::Error;

/// The identity of a cluster, kept in a file of its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) id: String,
    pub(super) brokers: u8,
}

impl Cluster {
    /// Reads the cluster of `directory`, or makes one of `brokers`.
    pub(super) fn of(directory: &Path, brokers: u8) -> Result<Cluster, Error> {
        let path = directory.join("cluster.properties");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let cluster = Cluster {
                    id: random_id(),
                    brokers,
                };
                // The file must never be found half written: the brokers are formatted with this ID.
                let partial = path.with_extension("partial");
                File::create(&partial)
                    .and_then(|mut file| {
                        file.write_all(cluster.render().as_bytes())
                            .and_then(|()| file.sync_all())
                    })
                    .and_then(|()| fs::rename(&partial, &path))
                    .map_err(Error::at(&path))?;
                return Ok(cluster);
            }
            Err(error) => return Err(Error::at(&path)(error)),
        };
        match Cluster::parse(&text) {
            Some(cluster) if cluster.brokers == brokers => Ok(cluster),
            Some(cluster) => Err(Error::OtherCluster {
                directory: directory.to_path_buf(),
                found: cluster.brokers,
                wanted: brokers,
            }),
            None => Err(Error::at(&path)(io::ErrorKind::InvalidData.into())),
        }
    }

    fn render(&self) -> String {
        format!("cluster.id={}\nbrokers={}\n", self.id, self.brokers)
    }

    fn parse(text: &str) -> Option<Cluster> {
        let value = |key| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        };
        Some(Cluster {
            id: value("cluster.id")?.to_owned(),
            brokers: value("brokers")?.parse().ok()?,
        })
    }
}

/// Kafka reads an ID as base64 of 128 bits, 22 digits. Hexadecimal digits are valid base64.
fn random_id() -> String {
    // The standard library seeds each hasher state with new random data. A name on one machine needs no more.
    format!("{:022x}", RandomState::new().hash_one(0_u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_cluster_and_refuses_another_size() {
        let directory = tempfile::tempdir().unwrap();
        let founded = Cluster::of(directory.path(), 3).unwrap();
        assert_eq!(founded.id.len(), 22);
        assert_eq!(Cluster::of(directory.path(), 3).unwrap(), founded);
        let refused = Cluster::of(directory.path(), 1).unwrap_err();
        assert!(
            matches!(
                refused,
                Error::OtherCluster {
                    found: 3,
                    wanted: 1,
                    ..
                }
            ),
            "{refused}"
        );
        assert_eq!(Cluster::parse("brokers=1\n"), None);
    }
}
