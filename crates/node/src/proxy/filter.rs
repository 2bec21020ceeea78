//! Filters as plans: each text is planned once for a version of a schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::random::Random;
use expr::{MissingJson, Options, Plan, TemplateValue, Templates};
use foldhash::HashMap;
use parking_lot::Mutex;
use proto::schema as s;
use proto::schema::template_array_value::Data;
use proto::schema::template_value::Val;
use types::Result;
use types::collection::Collection;
use types::id::CollectionId;

/// Plans kept in each of two halves: when the younger is full, the older is dropped.
const HALF_MAX: usize = 512;
/// Longer texts hold lists of keys that don't come twice.
const TEXT_BYTES_MAX: usize = 4_096;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    collection: CollectionId,
    version: u32,
    text: Arc<str>,
}

/// Plans by text.
pub struct Plans {
    halves: Mutex<Halves>,
    /// Gives each sample its seed.
    random: Random,
}

#[derive(Default)]
struct Halves {
    young: HashMap<Key, Plan>,
    old: HashMap<Key, Plan>,
}

impl Plans {
    /// None yet.
    pub fn new(random: Random) -> Self {
        Self { halves: Mutex::default(), random }
    }

    /// The plan of `text` for rows of the collection; of blank text, the one that keeps all. One that samples is of use once.
    ///
    /// # Errors
    /// Those of [`Plan::compile`].
    pub fn compile(&self, collection: &Collection, text: &str, templates: Templates) -> Result<Plan> {
        let plan = self.planned(collection, text, templates)?;
        Ok(if plan.samples() { plan.seeded(self.random.u64()) } else { plan })
    }

    fn planned(&self, collection: &Collection, text: &str, templates: Templates) -> Result<Plan> {
        let schema = &collection.schema;
        if !templates.is_empty() || text.len() > TEXT_BYTES_MAX {
            return Plan::compile(text, schema, &Options { templates, missing: MissingJson::default() });
        }
        let key = Key { collection: collection.id, version: schema.version, text: text.into() };
        if let Some(plan) = self.halves.lock().find(&key) {
            return Ok(plan);
        }
        let plan = Plan::compile(text, schema, &Options::default())?;
        self.halves.lock().keep(key, plan.clone());
        Ok(plan)
    }
}

impl Halves {
    fn find(&mut self, key: &Key) -> Option<Plan> {
        if let Some(plan) = self.young.get(key) {
            return Some(plan.clone());
        }
        let plan = self.old.remove(key)?;
        self.keep(key.clone(), plan.clone());
        Some(plan)
    }

    fn keep(&mut self, key: Key, plan: Plan) {
        if self.young.len() >= HALF_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, plan);
    }
}

/// A request's template values.
pub fn templates(wire: &BTreeMap<String, s::TemplateValue>) -> Templates {
    wire.iter().map(|(name, value)| (name.clone(), template(value))).collect()
}

fn template(wire: &s::TemplateValue) -> TemplateValue {
    match &wire.val {
        None => TemplateValue::Nil,
        Some(Val::BoolVal(value)) => TemplateValue::Bool(*value),
        Some(Val::Int64Val(value)) => TemplateValue::Int(*value),
        Some(Val::FloatVal(value)) => TemplateValue::Float(*value),
        Some(Val::StringVal(text)) => TemplateValue::Text(text.clone()),
        Some(Val::BytesVal(bytes)) => TemplateValue::Bytes(bytes.to_vec()),
        Some(Val::ArrayVal(array)) => list(array),
    }
}

/// Lists nest no deeper than a decoded message can.
fn list(wire: &s::TemplateArrayValue) -> TemplateValue {
    match &wire.data {
        None => TemplateValue::Lists(Vec::new()),
        Some(Data::BoolData(array)) => TemplateValue::Bools(array.data.clone()),
        Some(Data::LongData(array)) => TemplateValue::Ints(array.data.clone()),
        Some(Data::DoubleData(array)) => TemplateValue::Floats(array.data.clone()),
        Some(Data::StringData(array)) => TemplateValue::Texts(array.data.clone()),
        Some(Data::ArrayData(array)) => TemplateValue::Lists(array.data.iter().map(list).collect()),
        // What isn't UTF-8 isn't JSON either, and is refused as such.
        Some(Data::JsonData(array)) => {
            TemplateValue::Json(array.data.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
        }
    }
}
