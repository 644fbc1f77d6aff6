//! The access key of a local service's stores: `ipgeo dev` creates it at its first start and stores it beside the stores,
//! in the format of AWS credentials files. Only those who can read the state folder can call the stores.

use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fs::{Replace, write_private};

/// In the folder of the stores; for AWS tools: `AWS_SHARED_CREDENTIALS_FILE`.
const FILE_NAME: &str = "credentials";
const ACCESS: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";

/// Random bytes of an access key: 6 of its ID, 20 of its secret.
pub(crate) const RANDOM_BYTES: usize = 26;

/// An access key: an ID that is sent, and a secret that signs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldKey {
    /// The ID that requests send in `Credential=`.
    pub access: String,
    /// The secret that requests are signed with.
    pub secret: String,
}

impl fmt::Debug for WorldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldKey").field("access", &self.access).finish_non_exhaustive()
    }
}

impl WorldKey {
    /// A new access key with the lengths of AWS's.
    pub fn new(random: [u8; RANDOM_BYTES]) -> Self {
        let (id, secret) = random.split_at(6);
        Self { access: format!("IPGEODEV{}", hex::encode_upper(id)), secret: hex::encode(secret) }
    }

    /// Reads the access key of a stores' folder, or saves `new` if the file is missing.
    pub fn ensure(stores: &Path, new: Self) -> io::Result<Self> {
        let path = stores.join(FILE_NAME);
        if let Some(kept) = Self::read(&path)? {
            return Ok(kept);
        }
        match write_private(&path, new.text().as_bytes(), Replace::No) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(&path)?.ok_or(error),
            written => written.map(|()| new),
        }
    }

    /// `None` if there is no file.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let value = |name: &str| {
            let values = text.lines().filter_map(|line| line.split_once('='));
            let found = values.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim()).next();
            found.filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let (Some(access), Some(secret)) = (value(ACCESS), value(SECRET)) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{} lacks {ACCESS} or {SECRET}; delete the file to get a new access key",
                    path.display()
                ),
            ));
        };
        Ok(Some(Self { access, secret }))
    }

    fn text(&self) -> String {
        format!(
            "# Access key for the stores of `ipgeo dev` in this folder.\n\
             [default]\n{ACCESS} = {}\n{SECRET} = {}\n",
            self.access, self.secret
        )
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn key(seed: u8) -> WorldKey {
        WorldKey::new([seed; RANDOM_BYTES])
    }

    #[test]
    fn an_access_key_is_created_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE_NAME);
        assert_eq!(WorldKey::ensure(folder.path(), key(1)).expect("written"), key(1));
        assert_eq!(WorldKey::ensure(folder.path(), key(2)).expect("read"), key(1));
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "[default]\naws_access_key_id = A\n").expect("written");
        let told = WorldKey::ensure(folder.path(), key(2)).expect_err("it is broken").to_string();
        assert!(told.contains("aws_secret_access_key"), "{told}");
    }

    #[test]
    fn its_secret_is_not_printed() {
        let key = key(7);
        assert_eq!((key.access.len(), key.secret.len()), (20, 40));
        assert!(!format!("{key:?}").contains(&key.secret), "{key:?}");
    }
}
