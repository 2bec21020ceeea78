//! Databases and names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::id::{CollectionId, DatabaseId};
use types::time::Timestamp;

use super::{decode_only, encode};
use crate::catalog::document::{Document, number, parse_number};
use crate::catalog::model::{Database, DatabaseName, Name, NameTarget};

#[derive(Serialize, Deserialize)]
struct StoredDatabase {
    name: String,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    created: Timestamp,
}

impl Document for Database {
    type Id = DatabaseId;
    const KIND: &'static str = "database";
    const VERSION: u32 = 1;

    fn id(&self) -> DatabaseId {
        self.id
    }

    fn path(id: &DatabaseId) -> String {
        number(id.0)
    }

    fn parse(path: &str) -> Option<DatabaseId> {
        parse_number(path).map(DatabaseId)
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        encode(&StoredDatabase { name: self.name.clone(), properties: self.properties.clone(), created: self.created })
    }

    fn decode(id: DatabaseId, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let StoredDatabase { name, properties, created } = decode_only::<Self, _>(version, json)?;
        Ok(Self { id, name, properties, created })
    }
}

#[derive(Serialize, Deserialize)]
struct StoredDatabaseName {
    database: DatabaseId,
}

impl Document for DatabaseName {
    type Id = String;
    const KIND: &'static str = "database-name";
    const VERSION: u32 = 1;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn path(name: &String) -> String {
        name.clone()
    }

    fn parse(path: &str) -> Option<String> {
        Some(path.to_owned())
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        encode(&StoredDatabaseName { database: self.database })
    }

    fn decode(name: String, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let StoredDatabaseName { database } = decode_only::<Self, _>(version, json)?;
        Ok(Self { name, database })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredName {
    Collection(CollectionId),
    Alias(CollectionId),
}

impl Document for Name {
    type Id = (DatabaseId, String);
    const KIND: &'static str = "name";
    const VERSION: u32 = 1;

    fn id(&self) -> (DatabaseId, String) {
        (self.database, self.name.clone())
    }

    fn path((database, name): &(DatabaseId, String)) -> String {
        format!("{}/{name}", number(database.0))
    }

    fn parse(path: &str) -> Option<(DatabaseId, String)> {
        let (database, name) = path.split_once('/')?;
        Some((DatabaseId(parse_number(database)?), name.to_owned()))
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        encode(&match self.target {
            NameTarget::Collection(id) => StoredName::Collection(id),
            NameTarget::Alias(id) => StoredName::Alias(id),
        })
    }

    fn decode((database, name): (DatabaseId, String), version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let target = match decode_only::<Self, _>(version, json)? {
            StoredName::Collection(id) => NameTarget::Collection(id),
            StoredName::Alias(id) => NameTarget::Alias(id),
        };
        Ok(Self { database, name, target })
    }
}
