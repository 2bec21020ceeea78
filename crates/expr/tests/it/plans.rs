//! What callers ask a plan: keys, partition keys, fields, cost, its stored form.

use expr::{Options, Plan, Scratch, TemplateValue, Templates};
use types::batch::Batch;
use types::bitset::Bitset;
use types::column::{Column, Values};
use types::id::FieldId;
use types::value::{Key, Value};

use crate::world::schema;

fn plan(text: &str) -> Plan {
    let templates = Templates::from([("keys".to_owned(), TemplateValue::Ints(vec![5, 4, 5]))]);
    Plan::compile(text, &schema(), &Options { templates, ..Options::default() }).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn named_keys() {
    let check = |text: &str, expected: Option<(&[i64], u64)>| {
        let found = plan(text).named_keys(FieldId(100)).map(|named| (named.keys, named.given));
        let expected = expected.map(|(keys, given)| (keys.iter().map(|&key| Key::Int(key)).collect(), given));
        assert_eq!(found, expected, "{text}");
    };
    check("id == 7", Some((&[7], 1)));
    check("7 == id", Some((&[7], 1)));
    check("(id in [3, 1, 3])", Some((&[1, 3], 3)));
    check("id in {keys}", Some((&[4, 5], 3)));
    check("id in []", Some((&[], 0)));
    check("id == 1.5", Some((&[], 1)));
    check("id != 7", None);
    check("id not in [7]", None);
    check("not (id == 7)", None);
    check("id > 7", None);
    check("id == 7 and int == 1", None);
    check("id == 7 or id == 8", None);
    check("int == 7", None);
    check("", None);
    let text = Plan::compile("key in ['b', 'a']", &schema(), &Options::default()).expect("a filter");
    let keys = text.named_keys(FieldId(108)).expect("keys are named").keys;
    assert_eq!(keys, [Key::String("a".into()), Key::String("b".into())]);
}

#[test]
fn values_that_a_field_must_have() {
    let check = |text: &str, expected: Option<&[&str]>| {
        let found = plan(text).values_of(FieldId(108));
        let expected = expected.map(|values| values.iter().map(|&value| Value::String(value.into())).collect::<Vec<_>>());
        assert_eq!(found, expected, "{text}");
    };
    check("key == 'a'", Some(&["a"]));
    check("key in ['b', 'a'] and int > 1", Some(&["a", "b"]));
    check("int > 1 and (short == 1 and key == 'a')", Some(&["a"]));
    check("key == 'a' or key == 'b'", Some(&["a", "b"]));
    check("key == 'a' and int == 1 or key == 'b' and int == 2", Some(&["a", "b"]));
    check("key == 'a' or int == 1", None);
    check("key in ['a', 'b'] and key in ['b', 'c']", Some(&["b"]));
    check("key != 'a'", None);
    check("not (key == 'a')", None);
    check("not (key != 'a')", Some(&["a"]));
    check("key > 'a'", None);
    check("key in []", Some(&[]));
    check("false", Some(&[]));
    check("", None);
    assert_eq!(plan("id == 5 and d == 1.5").values_of(FieldId(100)), Some(vec![Value::Int(5)]));
    assert_eq!(plan("id == 5 and d == 1.5").values_of(FieldId(106)), Some(vec![Value::Float(1.5)]));
}

#[test]
fn always_never_fields_cost() {
    for (text, always, never) in [
        ("", true, false),
        ("1 < 2", true, false),
        ("int == 1 or true", true, false),
        ("false", false, true),
        ("id not in []", true, false),
        ("not (id in [])", true, false),
        ("id not in [] and true", true, false),
        ("key in []", false, true),
        ("s in []", false, false),
    ] {
        assert_eq!((plan(text).is_always_true(), plan(text).is_never_true()), (always, never), "{text}");
    }
    // Holds for every value of its type, but says something about a row.
    for text in ["id <= 9223372036854775807", "s != ''", "color not in []", "s not in []", "j['a'] not in []"] {
        assert!(!plan(text).is_always_true(), "{text}");
    }
    assert!(Plan::always().is_always_true());
    let fields = |text: &str| plan(text).fields().iter().map(|field| field.0).collect::<Vec<_>>();
    assert_eq!(fields("color == 1 and int > tiny and j['a'] == 2 and int == 1"), [102, 104, 109, 113]);
    assert_eq!(fields("int == 1 or true"), [0i64; 0]);
    assert!(plan("int == 1").cost() < plan("s == 'a'").cost());
    assert!(plan("s like '%a%'").cost() < plan("j['a'] == 1").cost());
}

#[test]
fn stored_form() {
    let deep = (0..200).fold("int == 1".to_owned(), |inner, i| format!("({inner} {} tiny == {i})", if i % 2 == 0 { "and" } else { "or" }));
    let texts = [
        "",
        "id in [1, 2, 3] and d < 0.1 and f > -1e30 and s >= 'a' and key like 'b%' and not (flag == true)",
        "j['a'][0] in [1, 2.5, 'x', true, [1, [2]]] or exists color or json_contains_all(j, [1]) or array_length(tags) > 2",
        "int > tiny or short is null or (int & 3) == 1 or id + 9223372036854775807 > 9223372036854775807 or id * 3 > 9223372036854775807",
        "d == 1.7976931348623157e308 or d > 5e-324",
        &deep,
    ];
    for text in texts {
        let plan = plan(text);
        let stored = serde_json::to_string(&plan).expect("a plan has a stored form");
        assert_eq!(serde_json::from_str::<Plan>(&stored).expect("it reads back"), plan, "{text}");
        let value = serde_json::to_value(&plan).expect("a plan goes through a value");
        assert_eq!(serde_json::from_value::<Plan>(value).expect("it comes back"), plan, "{text}");
    }
    let damaged = [
        r#"{"nodes":[],"paths":[],"missing":"Unknown","points":null}"#,
        r#"{"nodes":[{"All":1}],"paths":[],"missing":"Unknown","points":null}"#,
        r#"{"nodes":[{"Constant":true},{"Constant":true}],"paths":[],"missing":"Unknown","points":null}"#,
        concat!(
            r#"{"nodes":[{"Test":{"condition":{"Json":{"path":0,"check":"Exists"}},"negated":false}}],"#,
            r#""paths":[],"missing":"Unknown","points":null}"#
        ),
    ];
    for stored in damaged {
        assert!(serde_json::from_str::<Plan>(stored).is_err(), "{stored}");
    }
    let tower =
        format!(r#"{{"nodes":[{{"Constant":true}}{}],"paths":[],"missing":"Unknown","points":null}}"#, r#",{"All":1}"#.repeat(10_000));
    assert!(serde_json::from_str::<Plan>(&tower).is_err_and(|error| error.to_string().contains("nested deeper")));
}

#[test]
fn columns_of_another_type_are_refused() {
    let batch = Batch::new(3, vec![Column::new(FieldId(104), Values::VarChar(["a", "b", "c"].into_iter().collect()))]);
    let check = |text: &str, cause: &str| {
        let error = plan(text).evaluate(&batch, 3, &mut Scratch::default()).expect_err(text);
        assert!(error.reason().contains(cause), "{error}");
    };
    check("int == 1", "a filter takes field 104 for an integer, but its column is of VarChar");
    check("int * 2 == 1", "a filter takes field 104 for a number, but its column is of VarChar");
    check("d == 1", "a filter needs field 106, which rows don't have");
    // Nothing is read of a column if no row is left to test.
    assert_eq!(plan("d == 1").evaluate_within(&batch, &Bitset::zeros(3), &mut Scratch::default()), Ok(Bitset::zeros(3)));
}
