//! What text means: the plan that it gives, written out, and rows that it keeps.

use expr::{MissingJson, Options, Plan, Scratch, TemplateValue};
use serde_json::{Value, json};
use types::batch::Batch;
use types::column::{Column, Values};
use types::id::FieldId;

use crate::world::{column, schema};

fn plan(text: &str) -> Plan {
    Plan::compile(text, &schema(), &options()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn options() -> Options {
    let values = [
        ("one", TemplateValue::Int(1)),
        ("half", TemplateValue::Float(0.5)),
        ("yes", TemplateValue::Bool(true)),
        ("word", TemplateValue::Text("w%".into())),
        ("ints", TemplateValue::Ints(vec![3, 1, 3])),
        ("texts", TemplateValue::Texts(vec!["b".into(), "a".into()])),
        ("mixed", TemplateValue::Json(vec!["1".into(), "\"x\"".into(), "[2]".into()])),
        ("expr_use_json_stats", TemplateValue::Bool(false)),
    ];
    Options { templates: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), ..Options::default() }
}

#[test]
fn plans_in_normal_form() {
    let check = |text: &str, expected: &str| assert_eq!(plan(text).to_string(), expected, "{text}");
    check("", "true");
    check(" \t\r\n", "true");
    // Comparisons become ranges, from either side.
    check("int < 10", "#104 in ..9");
    check("10 > int", "#104 in ..9");
    check("int >= -3", "#104 in -3..");
    check("int == 5", "#104 in 5..5");
    check("int != 5", "not #104 in 5..5");
    check("id > 9223372036854775807", "#100 in 9223372036854775808..");
    check("id == -9223372036854775808", "#100 in -9223372036854775808..-9223372036854775808");
    check("int == 1.5", "#104 in 2..1");
    check("int < 1.5", "#104 in ..1");
    check("int >= 1.0", "#104 in 1..");
    check("int == 0x10 or int == 0b11 or int == 017", "#104 in {3, 15, 16}");
    check("d == 9007199254740993", "#106 in inf..-inf");
    check("d < 1", "#106 in ..0.9999999999999999");
    check("f == 0.1", "#105 in 0.10000000149011612..0.10000000149011612");
    check("flag == true", "#101 in 1..1");
    check("flag != false", "not #101 in 0..0");
    check("s < 'b'", "#107 in (, \"b\")");
    check("'b' <= s", "#107 in [\"b\", )");
    check("s == \"a\\\"\\x41\\u4e2d\\101\\n\"", "#107 in {\"a\\\"A中A\\n\"}");
    check("s == r\"\\n\"", "#107 in {\"\\\\n\"}");
    // Ranges.
    check("1 < int <= 5", "#104 in 2..5");
    check("5 > int > 1", "#104 in 2..4");
    check("0.5 <= d < 2", "#106 in 0.5..1.9999999999999998");
    check("'a' < s < 'c'", "#107 in (\"a\", \"c\")");
    check("1 < j[\"a\"] < 5", "json 0 in 2..4|1.0000000000000002..4.999999999999999; json 0 = #109[\"a\"]");
    // Arithmetic: sums cost nothing, the rest stays.
    check("int + 1 == 3", "#104 in 2..2");
    check("int - 1 > 3", "#104 in 5..");
    check("1 + int == 3", "#104 in 2..2");
    check("id + 9223372036854775807 < -9223372036854775808", "#100 in ..-18446744073709551616");
    check("int % 2 == 0", "Modulo(#104, 2) in 0..0|0.0..0.0");
    check("3 == int * 2", "Multiply(#104, 2) in 3..3|3.0..3.0");
    check("int + 0.5 == 1", "Add(#104, 0.5) in 1..1|1.0..1.0");
    check("(int & 4) == 4", "BitAnd(#104, 4) in 4..4|4.0..4.0");
    check("(int << 2) != 4", "not ShiftLeft(#104, 2) in 4..4|4.0..4.0");
    // Constants.
    check("1 < 2", "true");
    check("2 ** 3 > 7", "true");
    check("not (1 + 1 == 2)", "false");
    check("true", "true");
    check("FALSE", "false");
    check("true and int == 1", "#104 in 1..1");
    check("int == 1 or true", "true");
    check("int == 1 and 'b' < 'a'", "false");
    check("int == 2 * 3 - 1", "#104 in 5..5");
    check("(1 < 2) == true", "true");
    // Lists.
    check("int in [3, 1, 2, 1]", "#104 in {1, 2, 3}");
    check("int in [1, ]", "#104 in {1}");
    check("int in []", "false");
    check("int not in []", "true");
    check("int not in [1 + 1]", "not #104 in {2}");
    check("tiny in [1000, 1]", "#102 in {1, 1000}");
    check("d in [1, 2.5]", "#106 in {1.0, 2.5}");
    check("d in [9007199254740993]", "#106 in {}");
    check("flag in [true]", "#101 in {1}");
    check("s in ['b', \"a\"]", "#107 in {\"a\", \"b\"}");
    check("j[\"a\"] in [1, 1.0, 'x', true, [1, 2.5]]", "json 0 in {1, \"x\", true, [Int(1), Float(2.5)]}; json 0 = #109[\"a\"]");
    // Equalities on one field join.
    check("int == 1 or int in [3, 2] or int == 1", "#104 in {1, 2, 3}");
    check("int != 1 and int not in [2]", "not #104 in {1, 2}");
    check("s == 'a' or int == 1 or s == 'b'", "(#104 in 1..1 or #107 in {\"a\", \"b\"})");
    check("s in [] or s in []", "#107 in {}");
    check("key in [] or key in []", "false");
    check("int == 1 and int == 2", "(#104 in 1..1 and #104 in 2..2)");
    // Logic: `not` goes down, chains are flat, the cheap comes first.
    check("not (int == 1 and s == 'a')", "(not #104 in 1..1 or not #107 in {\"a\"})");
    check("NOT (int == 1 || not (s == 'a'))", "(not #104 in 1..1 and #107 in {\"a\"})");
    check("!(int < 1)", "not #104 in ..0");
    check(
        "s like 'a%' and (int == 1 and (tiny == 2 AND short == 3))",
        "(#104 in 1..1 and #102 in 2..2 and #103 in 3..3 and #107 in like \"a%\")",
    );
    check("int == 1 and int == 2 or tiny == 1 && tiny == 2", "((#104 in 1..1 and #104 in 2..2) or (#102 in 1..1 and #102 in 2..2))");
    check("not s like 'a%'", "not #107 in like \"a%\"");
    check("s like 'a\\%'", "#107 in like \"a\\\\%\"");
    // Null tests.
    check("s is null", "#107 is null");
    check("s IS NOT NULL", "not #107 is null");
    check("int is null", "false");
    check("int is not null", "true");
    check("j is null", "#109 is null");
    check("j[\"a\"] is null", "not exists json 0; json 0 = #109[\"a\"]");
    check("$meta is null", "false");
    check("color is not null", "exists json 0; json 0 = #113[\"color\"]");
    check("exists j[\"a\"] and not exists j['a']", "(exists json 0 and not exists json 0); json 0 = #109[\"a\"]");
    // Names.
    check("color == 'red'", "json 0 in {\"red\"}; json 0 = #113[\"color\"]");
    check("$meta[\"color\"] == 'red'", "json 0 in {\"red\"}; json 0 = #113[\"color\"]");
    check("obj[\"a/b\"][\"~\"][0] == 1", "json 0 in 1..1|1.0..1.0; json 0 = #113[\"obj\"][\"a/b\"][\"~\"][0]");
    check("j == 1", "json 0 in 1..1|1.0..1.0; json 0 = #109");
    check("j[0] > 'x'", "json 0 in (\"x\", ); json 0 = #109[0]");
    check("j[\"a\"] == true", "json 0 in [false, true]; json 0 = #109[\"a\"]");
    check("j[\"a\"] != [1]", "not json 0 == [Int(1)]; json 0 = #109[\"a\"]");
    check("j[\"a\"] % 2 == 1", "Modulo(json 0, 2) in 1..1|1.0..1.0; json 0 = #109[\"a\"]");
    check("json_contains(j[\"a\"], 1)", "json 0 holds one of {1}; json 0 = #109[\"a\"]");
    check("JSON_CONTAINS_ALL(tags, [1, 'x'])", "json 0 holds all of {1, \"x\"}; json 0 = #113[\"tags\"]");
    check("array_contains_any(tags, [[1], [2]])", "json 0 holds one of {[Int(1)], [Int(2)]}; json 0 = #113[\"tags\"]");
    check("array_length(tags) >= 2", "length(json 0) in 2..; json 0 = #113[\"tags\"]");
    // Columns.
    check("int > tiny", "#104 > #102");
    check("s != key", "not #107 == #108");
    check("d <= id", "#106 <= #100");
    check("flag == flag", "#101 == #101");
    // Arrays.
    check("ints[0] == 5", "#114[0] in 5..5");
    check("5 <= ints[2]", "#114[2] in 5..");
    check("ints[1] != 5", "not #114[1] in 5..5");
    check("1 < ints[1] < 5", "#114[1] in 2..4");
    check("texts[0] in ['b', 'a']", "#115[0] in {\"a\", \"b\"}");
    check("ints[0] not in []", "not #114[0] in {}");
    check("texts[0] like 'a%'", "#115[0] in like \"a%\"");
    check("texts[0] =~ 'a'", "#115[0] in =~ \"a\"");
    check("ints[0] + 1 == 3", "#114[0] in 2..2");
    check("ints[0] * 2 == 3", "#114[0] in {x: Multiply(x, 2) in 3..3|3.0..3.0}");
    check("ints == [1, 2.0]", "#114 == [1..1, 2..2]");
    check("singles != [0.1, 2]", "not #116 == [{0.10000000149011612}, {2.0}]");
    check("ints == [1, 1.5]", "#114 == [1..1, 2..1]");
    check("singles == [16777217]", "#116 == [{16777217.0}]");
    check("texts == ['a']", "#115 == [{\"a\"}]");
    check("bools == [true]", "#117 == [1..1]");
    check("ints == []", "#114 == []");
    check("ints in [[1], []]", "(#114 == [1..1] or #114 == [])");
    check("ints not in []", "true");
    check("texts not in []", "not length(#115) in 1..0");
    check("array_contains(ints, 1)", "#114 holds one of {1}");
    check("array_contains(ints, 1.5)", "#114 holds one of {}");
    check("json_contains_all(ints, [1, 2, 1])", "#114 holds all of {1, 2}");
    check("array_contains_all(ints, [1, 1.5])", "length(#114) in 1..0");
    check("array_contains_any(singles, [0.1, 1, 16777217])", "#116 holds one of {0.10000000149011612, 1.0, 16777217.0}");
    check("array_contains_any(texts, {texts})", "#115 holds one of {\"a\", \"b\"}");
    check("array_contains(bools, {yes})", "#117 holds one of {1}");
    check("array_length(ints) > 2", "length(#114) in 3..");
    check("array_length(ints) % 2 == 1", "length(#114) in {n: Modulo(n, 2) in 1..1|1.0..1.0}");
    check("1 + array_length(tags) == 2", "length(json 0) in {n: Add(n, 1) in 2..2|2.0..2.0}; json 0 = #113[\"tags\"]");
    check("texts is null", "#115 is null");
    check("ints is null", "false");
    // Templates.
    check("int == {one}", "#104 in 1..1");
    check("{one} < int < 5", "#104 in 2..4");
    check("d > {one} + {half}", "#106 in 1.5000000000000002..");
    check("int in {ints}", "#104 in {1, 3}");
    check("s not in {texts}", "not #107 in {\"a\", \"b\"}");
    check("j[\"a\"] in {mixed}", "json 0 in {1, \"x\", [Int(2)]}; json 0 = #109[\"a\"]");
    check("s like {word}", "#107 in like \"w%\"");
    check("s =~ {word}", "#107 in =~ \"w%\"");
    check("s !~ '^a\\b'", "not #107 in =~ \"^a\\\\b\"");
    check("j[\"a\"] =~ \"\\d\"", "json 0 in =~ \"\\\\d\"; json 0 = #109[\"a\"]");
    // Samples.
    check("random_sample(0.25)", "sample(0.2500, 0)");
    check("s like '%a%' and (int == 1 AND RANDOM_SAMPLE(0.5))", "(#104 in 1..1 and sample(0.5000, 0) and #107 in like \"%a%\")");
    check("int == 1 and 1 > 2 and random_sample(0.5)", "false");
    check("true and random_sample(0.5)", "sample(0.5000, 0)");
    check("flag == {yes}", "#101 in 1..1");
    check("int + {one} == 2", "#104 in 1..1");
    check("json_contains_any(j, {ints})", "json 0 holds one of {1, 3}; json 0 = #109");
    check("int in [{one}, 2]", "#104 in {1, 2}");
    check("int > -{one}", "#104 in 0..");
}

/// The rows of one JSON field (or, under `s`, one text field) that each text keeps.
fn kept(text: &str, rows: &[Option<Value>], missing: MissingJson) -> Vec<usize> {
    let schema = schema();
    let field = |name: &str| schema.field(name).expect("a field of the test's schema");
    let dynamic: Vec<_> = rows.iter().map(|row| Some(row.clone().filter(Value::is_object).unwrap_or(json!({})))).collect();
    let batch = Batch::new(rows.len(), vec![column(field("j"), rows), column(field("$meta"), &dynamic)]);
    let plan = Plan::compile(text, &schema, &Options { missing, ..options() }).unwrap_or_else(|error| panic!("{text}: {error}"));
    plan.evaluate(&batch, rows.len(), &mut Scratch::default()).expect("columns are there").iter_ones().collect()
}

#[test]
fn json_that_is_missing_null_or_of_another_type() {
    let rows = [
        Some(json!({"a": 1})),
        Some(json!({"a": 1.0})),
        Some(json!({"a": 2})),
        Some(json!({"a": "1"})),
        Some(json!({"a": null})),
        Some(json!({})),
        Some(json!({"a": true})),
        None,
        Some(json!({"a": [1, "x", 1.0, [1, 2]]})),
        Some(json!({"a": {}})),
        Some(json!({"a": {"b": 1}})),
        Some(json!({"a": []})),
    ];
    let check = |text: &str, unknown: &[usize], false_: &[usize]| {
        assert_eq!(kept(text, &rows, MissingJson::Unknown), unknown, "{text}, unknown");
        assert_eq!(kept(text, &rows, MissingJson::False), false_, "{text}, false");
    };
    let same = |text: &str, rows: &[usize]| check(text, rows, rows);
    let present_but = |gone: &[usize]| (0..12).filter(|row| *row != 7 && !gone.contains(row)).collect::<Vec<_>>();
    same("j[\"a\"] == 1", &[0, 1]);
    check("j[\"a\"] != 1", &[2], &present_but(&[0, 1]));
    check("not (j[\"a\"] == 1)", &[2], &present_but(&[0, 1]));
    check("j[\"a\"] not in [1, 5]", &[2], &present_but(&[0, 1]));
    check("not (j[\"a\"] > 1)", &[0, 1], &present_but(&[2]));
    same("j[\"a\"] in [1, '1', true]", &[0, 1, 3, 6]);
    // An `or` of equalities, of which a number leaves two unknown.
    check("j[\"a\"] not in [1, '1', true]", &[], &[2, 4, 5, 8, 9, 10, 11]);
    check("not (j[\"a\"] == 1 or j[\"a\"] == '1' or j[\"a\"] == true)", &[], &[2, 4, 5, 8, 9, 10, 11]);
    same("j[\"a\"] in []", &[]);
    check("j[\"a\"] not in []", &[0, 1, 2, 3, 6, 8, 9, 10, 11], &present_but(&[]));
    same("j[\"a\"] == '1'", &[3]);
    check("j[\"a\"] != '1'", &[], &present_but(&[3]));
    same("j[\"a\"] == true", &[6]);
    check("j[\"a\"] != false", &[6], &present_but(&[]));
    same("j[\"a\"] like '_'", &[3]);
    same("1 <= j[\"a\"] < 2", &[0, 1]);
    same("j[\"a\"] + 1 == 2", &[0, 1]);
    same("j[\"a\"] % 2 == 0", &[2]);
    same("exists j[\"a\"]", &[0, 1, 2, 3, 6, 8, 10, 11]);
    same("not exists j[\"a\"]", &[4, 5, 7, 9]);
    same("j[\"a\"] is null", &[4, 5, 7, 9]);
    same("j is null", &[7]);
    same("j is not null", &present_but(&[]));
    same("json_contains(j[\"a\"], 1)", &[8]);
    same("json_contains(j[\"a\"], [1, 2])", &[8]);
    same("json_contains(j[\"a\"], [1])", &[]);
    check("not json_contains(j[\"a\"], 2)", &[8, 11], &present_but(&[]));
    same("json_contains_all(j[\"a\"], [1, 'x'])", &[8]);
    same("json_contains_all(j[\"a\"], [1, 'y'])", &[]);
    same("json_contains_all(j[\"a\"], [])", &[8, 11]);
    same("json_contains_any(j[\"a\"], ['y', 1])", &[8]);
    same("json_contains_any(j[\"a\"], [])", &[]);
    same("array_length(j[\"a\"]) == 4", &[8]);
    same("array_length(j[\"a\"]) < 4", &[11]);
    same("j[\"a\"] == []", &[11]);
    same("j[\"a\"] == [1, 'x', 1, [1.0, 2]]", &[8]);
    same("j[\"a\"][3][1] == 2", &[8]);
    same("a == 1 and j[\"a\"] < 2", &[0, 1]);
}

#[test]
fn samples_are_of_the_size_asked_for_and_follow_the_seed() {
    const ROWS: usize = 20_000;
    let keys: Vec<i64> = (0..ROWS as i64).collect();
    let batch = Batch::new(ROWS, vec![Column::new(FieldId(100), Values::Int64(keys.into()))]);
    let kept = |plan: &Plan| plan.evaluate(&batch, ROWS, &mut Scratch::default()).expect("columns are there");
    for factor in [0.01, 0.1, 0.5, 0.9] {
        let plan = plan(&format!("id < 10000 and random_sample({factor})"));
        assert!(plan.samples());
        let (first, second) = (plan.seeded(1), plan.seeded(2));
        assert_eq!(kept(&first), kept(&first));
        assert_ne!(kept(&first), kept(&second));
        for plan in [first, second] {
            let (count, expected) = (kept(&plan).count_ones() as f64, 10_000.0 * factor);
            // Five standard deviations.
            assert!((count - expected).abs() < 5.0 * (expected * (1.0 - factor)).sqrt(), "{count} of {expected}");
            assert!(kept(&plan).iter_ones().all(|row| row < 10_000));
        }
    }
    assert!(!plan("id < 10000").samples());
}

#[test]
fn json_numbers_are_exact() {
    let rows = [9007199254740991i64, 9007199254740992, 9007199254740993, i64::MAX].map(|value| Some(json!(value)));
    let more = [json!(u64::MAX), json!(9007199254740992.0), json!(1e300), json!(-0.0)].map(Some);
    let rows = [&rows[..], &more[..]].concat();
    let check = |text: &str, expected: &[usize]| assert_eq!(kept(text, &rows, MissingJson::Unknown), expected, "{text}");
    check("j == 9007199254740993", &[2]);
    check("j == 9007199254740992", &[1, 5]);
    check("j == 9007199254740992.0", &[1, 5]);
    check("j > 9007199254740992.0", &[2, 3, 4, 6]);
    check("j in [9007199254740993, 0, 1e300]", &[2, 6, 7]);
    check("j > 9223372036854775807", &[4, 6]);
    check("j == 0", &[7]);
    check("j - 1 == 9007199254740992", &[2]);
    check("j - 1 == 9007199254740991.0", &[1, 5]);
}
