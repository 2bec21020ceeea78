//! What evaluation costs, measured: `cargo test --release -p expr speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use expr::{Options, Plan, Scratch};
use serde_json::json;
use types::batch::Batch;
use types::column::{Column, Values};
use types::id::FieldId;

use crate::world::{column, schema};

const ROWS: usize = 1_000_000;

fn mixed(row: usize) -> u64 {
    (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

fn batch() -> Batch {
    let schema = schema();
    let integers = |modulus: u64| (0..ROWS).map(move |row| (mixed(row) % modulus) as i64);
    let texts = |prefix: &'static str| (0..ROWS).map(move |row| format!("{prefix}{}", mixed(row) % 1000)).collect();
    let documents: Vec<_> =
        (0..ROWS).map(|row| Some(json!({"name": "a name of some length", "tags": ["x", "y"], "a": mixed(row) % 100, "z": 1.5}))).collect();
    Batch::new(
        ROWS,
        vec![
            Column::new(FieldId(100), Values::Int64((0..ROWS as i64).collect::<Vec<_>>().into())),
            Column::new(FieldId(104), Values::Int32(integers(100).map(|value| value as i32).collect::<Vec<_>>().into())),
            Column::new(FieldId(112), Values::Int64(integers(1_000_000).collect::<Vec<_>>().into())),
            Column::new(FieldId(105), Values::Float(integers(1000).map(|value| value as f32 / 10.0).collect::<Vec<_>>().into())),
            Column::new(FieldId(107), Values::VarChar(texts("name "))),
            column(schema.field("j").expect("a field of the test's schema"), &documents),
        ],
    )
}

#[test]
#[ignore = "a measurement, of use in a release build only"]
fn rows_per_second() {
    let (batch, mut scratch) = (batch(), Scratch::default());
    let list = |count: u64, step: u64| (0..count).map(|i| (i * step).to_string()).collect::<Vec<_>>().join(", ");
    let texts = [
        "int < 10".to_owned(),
        "long < 500000".to_owned(),
        format!("int < 10 and long in [{}]", list(20, 49_999)),
        format!("long in [{}]", list(20, 49_999)),
        format!("long in [{}]", list(20, 3)),
        format!("long in [{}]", list(10_000, 97)),
        "f < 50.0".to_owned(),
        "long % 2 == 0".to_owned(),
        "s == 'name 77'".to_owned(),
        "s in ['name 1', 'name 2', 'name 3', 'name 4', 'name 5', 'name 6', 'name 7', 'name 8', 'name 9', 'name 10']".to_owned(),
        "s like 'name 7%'".to_owned(),
        "s like '%77%'".to_owned(),
        "j[\"a\"] < 10".to_owned(),
        "j[\"a\"] < 10 or j[\"a\"] > 90".to_owned(),
        "j[\"name\"] == 'x'".to_owned(),
        "int < 1 and j[\"a\"] < 10".to_owned(),
    ];
    for text in texts {
        let plan = Plan::compile(&text, &schema(), &Options::default()).expect("a filter");
        let mut best = Duration::MAX;
        let mut kept = 0;
        for _ in 0..5 {
            let started = Instant::now();
            kept = plan.evaluate(&batch, ROWS, &mut scratch).expect("columns are there").count_ones();
            best = best.min(started.elapsed());
        }
        let shown: String = text.chars().take(60).collect();
        println!("{best:>12.2?}  {kept:>7} kept  {shown}");
    }
    let plan = Plan::compile("int < 10 and s like 'name 7%'", &schema(), &Options::default()).expect("a filter");
    let rows: Vec<u32> = (0..10_000).map(|row| (mixed(row) % ROWS as u64) as u32).collect();
    let started = Instant::now();
    let kept = plan.evaluate_rows(&batch, &rows, &mut scratch).expect("columns are there").count_ones();
    println!("{:>12.2?}  {kept:>7} kept  of 10,000 single rows: int < 10 and s like 'name 7%'", started.elapsed());
    let keys = list(1_000_000, 7);
    let started = Instant::now();
    let plan = Plan::compile(&format!("id in [{keys}]"), &schema(), &Options::default()).expect("a filter");
    println!("{:>12.2?}  to compile a million keys, {} bytes", started.elapsed(), keys.len());
    assert!(plan.named_keys(FieldId(100)).is_some());
}
