//! Texts of errors: the envelope once, the cause for each way to be wrong.

use expr::{Options, Plan, TemplateValue};
use types::Code;

use crate::world::{schema, strict_schema};

fn options() -> Options {
    let values = [
        ("one", TemplateValue::Int(1)),
        ("word", TemplateValue::Text("w".into())),
        ("list", TemplateValue::Ints(vec![1])),
        ("floats", TemplateValue::Floats(vec![1.0, 2.5])),
        ("nil", TemplateValue::Nil),
        ("bytes", TemplateValue::Bytes(vec![1])),
    ];
    Options { templates: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), ..Options::default() }
}

#[test]
fn envelope_and_code() {
    let error = Plan::compile("id in", &schema(), &Options::default()).expect_err("a list is missing");
    assert_eq!(error.code(), Code::INVALID_PARAMETER);
    assert_eq!(
        error.reason(),
        "cannot parse expression: id in: line 1:5 mismatched input '<EOF>' expecting an operand: query plan failed: invalid parameter"
    );
    let long = format!("id in [{}", "1, ".repeat(100_000));
    let error = Plan::compile(&long, &schema(), &Options::default()).expect_err("a bracket is missing");
    assert!(error.reason().len() < 70_000 && error.reason().contains("…: line 1:"), "{}", error.reason().len());
}

#[test]
fn causes() {
    let check = |text: &str, cause: &str| {
        let error = Plan::compile(text, &schema(), &options()).expect_err(text);
        assert_eq!(error.reason(), format!("cannot parse expression: {text}: {cause}: query plan failed: invalid parameter"));
    };
    // What isn't a condition.
    check("id", "predicate is not a boolean expression: id, data type: Int64");
    check("id + 1", "predicate is not a boolean expression: id + 1, data type: Int64");
    check("d * 2", "predicate is not a boolean expression: d * 2, data type: Double");
    check("flag", "predicate is not a boolean expression: flag, data type: Bool");
    check("whatever", "predicate is not a boolean expression: whatever, data type: JSON");
    check("1 + 1", "predicate is not a boolean expression: 1 + 1, data type: Int64");
    check("'text'", "predicate is not a boolean expression: 'text', data type: VarChar");
    check("[1, 2]", "predicate is not a boolean expression: [1, 2], data type: Array[Int64]");
    check("array_length(j)", "predicate is not a boolean expression: array_length(j), data type: Int64");
    check("not id", "not op can only be applied on boolean expression");
    check("not flag", "not op can only be applied on boolean expression");
    check("not id == 1", "not op can only be applied on boolean expression");
    check("not id in [1]", "not op can only be applied on boolean expression");
    check("id and 1", "'and' can only be used between boolean expressions");
    check("id == 1 or flag", "'or' can only be used between boolean expressions");
    // Types that don't compare.
    check("s >= 0", "comparisons between VarChar and Int64 are not supported");
    check("0 <= s", "comparisons between Int64 and VarChar are not supported");
    check("id == 'a'", "comparisons between Int64 and VarChar are not supported");
    check("flag == 1", "comparisons between Bool and Int64 are not supported");
    check("id == true", "comparisons between Int64 and Bool are not supported");
    check("id == [1]", "comparisons between Int64 and Array[Int64] are not supported");
    check("vec == 1", "comparisons between FloatVector and Int64 are not supported");
    check("vec == vec", "comparisons between FloatVector and FloatVector are not supported");
    check("s == id", "comparisons between VarChar and Int64 are not supported");
    check("flag == id", "comparisons between Bool and Int64 are not supported");
    check("j[\"a\"] < [1]", "comparisons between JSON and Array[Int64] are not supported");
    check("(id == 1) == true", "comparisons between Bool and Bool are not supported");
    check("id & 1 == 1", "'&' can only be used between integer or floating or json field expressions");
    check("1 == 'a'", "comparison operations cannot be applied to two incompatible operands: int64_val:1 == string_val:\"a\"");
    check("j[\"a\"] == d", "two column comparison with JSON type is not supported");
    check("j[\"a\"] == k[\"b\"]", "two column comparison with JSON type is not supported");
    // Lists.
    check("id in 1", "the right-hand side of 'in' must be a list, but got: 1");
    check("id in id", "the right-hand side of 'in' must be a list, but got: id");
    check("id in [1.0]", "value 'float_val:1' in list cannot be casted to Int64");
    check("flag in [0]", "value 'int64_val:0' in list cannot be casted to Bool");
    check("s in [1]", "value 'int64_val:1' in list cannot be casted to VarChar");
    check("d in ['a']", "value 'string_val:\"a\"' in list cannot be casted to Double");
    check("id in [(mn)]", "value '(mn)' in list cannot be a non-const expression");
    check("id in [1, int + 1]", "value 'int + 1' in list cannot be a non-const expression");
    check("vec in [1]", "value 'int64_val:1' in list cannot be casted to FloatVector");
    check("1 in [1]", "'term' can only be used on non-const expression, but got: 1");
    check("id + 1 in [1]", "'term' can only be used on single field");
    // Patterns.
    check("id like '1%'", "like operation on non-string or no-json field is unsupported");
    check("flag like 'a'", "like operation on non-string or no-json field is unsupported");
    check("id =~ 'a'", "regex match on non-string or non-json field is unsupported");
    check("flag !~ 'a'", "regex match on non-string or non-json field is unsupported");
    check("s =~ '(unclosed'", "invalid regex pattern: missing closing )");
    check("s =~ '(a)\\1'", "invalid regex pattern: invalid escape sequence: \\1");
    check("s =~ {one}", "the value of regex expression template variable {one} is not string");
    check("s =~ 1", "line 1:5 mismatched input '1' expecting a string literal or template variable");
    // Arithmetic.
    check("id + int == 1", "not supported to do arithmetic operations between multiple fields");
    check("id + 1 == int", "not supported to do arithmetic operations between multiple fields");
    check("id + 1 + 1 == 2", "complicated arithmetic operations are not supported");
    check("1 - id == 2", "complicated arithmetic operations are not supported");
    check("id % 0 == 1", "division or modulus by zero");
    check("id / 0 == 1", "division or modulus by zero");
    check("d / 0.0 == 1", "division or modulus by zero");
    check("1 / 0 == id", "cannot divide by zero");
    check("1 % 0 == id", "division or modulus by zero");
    check("d % 2 == 1", "modulo can only apply on integer types");
    check("id % 1.5 == 1", "modulo can only apply on integer types");
    check("id ** 2 == 4", "power can only apply on constants");
    check("(d & 1) == 1", "bitand can only apply on integer fields");
    check("(j[\"a\"] | 1) == 1", "bitor can only apply on integer fields");
    check("(id << 64) == 1", "shift must be in range [0, 63], but got: 64");
    check("s + 1 == 2", "'+' can only be used between integer or floating or json field expressions");
    check("id + 's' == 2", "'+' can only be used between integer or floating or json field expressions");
    check("id + 1 == 's'", "comparisons between Int64 and VarChar are not supported");
    check("-id == 1", "unary plus and minus can only apply on constants");
    check("9223372036854775807 + 1 == id", "9223372036854775807 + 1 is out of the range of Int64");
    check("id == 9223372036854775808", "integer 9223372036854775808 is out of the range of Int64");
    // Ranges.
    check("5 < id < 1", "invalid range: lowerbound is greater than upperbound");
    check("5 < id < 5", "invalid range: lowerbound is greater than upperbound");
    check("'b' < s < 'a'", "invalid range: lowerbound is greater than upperbound");
    check("false < flag < true", "invalid range operations on boolean expr");
    check("1 < id < true", "invalid range operations on boolean expr");
    check("int < id < 5", "lowerbound cannot be a non-const expression: int");
    check("1 < id < int", "upperbound cannot be a non-const expression: int");
    check("1 < s < 2", "comparisons between VarChar and Int64 are not supported");
    check("1 < j[\"a\"] < 'b'", "comparisons between JSON and VarChar are not supported");
    // Null tests and `exists`.
    check("vec is null", "IsNull/IsNotNull operations are not supported on vector fields");
    check("id == null", "NULL literal is not supported in expressions; use '<field> is null' or '<field> is not null' instead");
    check("Null == id", "NULL literal is not supported in expressions; use '<field> is null' or '<field> is not null' instead");
    check("exists id", "exists operations are only supportted on json field, got:Int64");
    check("exists j", "exists operations are only supportted on json key");
    check("exists 1", "exists operations are only supportted on json field, got:Int64");
    // Functions.
    check("json_contains(id, 1)", "contains operation are only supported on json or array fields now, got: id");
    check("json_contains(j, id)", "contains operation are only supported explicitly specified element, got: id");
    check("json_contains_all(j, 1)", "ContainsAll operation element must be an array");
    check("array_contains_any(j, 'a')", "ContainsAny operation element must be an array");
    check("json_contains(j)", "function json_contains takes 2 arguments, but got: 1");
    check("array_length(id) == 1", "array_length operation are only supported on json or array fields now, got: Int64");
    check("text_match(s, 'a b')", "field \"s\" does not enable match");
    check("text_match(matched, 'a')", "text_match is not supported");
    check("TEXT_MATCH(id, 'a')", "text_match operation on non-string is unsupported");
    check("text_match(s, id)", "text_match needs a string literal or template variable, but got: id");
    check("phrase_match(s, 'a b', 1)", "field \"s\" does not enable match");
    for factor in ["1", "0", "0.0", "1.0", "-0.5", "0.99999999999", "'a'"] {
        let cause =
            "the sample factor should be between 0 and 1 and not too close to 0 or 1(the difference should be larger than 1e-10), but got";
        check(&format!("random_sample({factor})"), &format!("{cause} {factor}"));
    }
    check("random_sample(id)", "\"float factor\" should be a const float expression: \"float factor\" passed: id");
    check("random_sample()", "function random_sample takes 1 arguments, but got: 0");
    let last = "random sample expression can only be the last expression in the logical and expression";
    check("random_sample(0.5) and id == 1", last);
    check("id == 1 and random_sample(0.5) and random_sample(0.5)", last);
    check("(random_sample(0.5)) == true", last);
    check("id == 1 or random_sample(0.5)", "random sample expression cannot be used in logical and expression");
    check("not random_sample(0.5)", "random sample expression cannot be used in unary expression");
    check("st_within(id, 'POINT(0 0)')", "st_within operation are only supported on geometry fields, got: Int64");
    check("element_filter(clips, $[x] > 1)", "struct field not found: clips");
    check("match_any(clips, $[x] > 1)", "struct field not found: clips");
    check("$[x] > 1", "$[x] syntax can only be used inside ElementFilter or MATCH_*");
    check("clips[x] == 1", "struct field not found: clips");
    check("id > ISO '2025-01-01T00:00:00Z'", "ISO and INTERVAL literals can only be used with Timestamptz fields");
    check("my_udf(id)", "unsupported function: my_udf");
    check("Json_Contains(j, 1)", "unsupported function: Json_Contains");
    // Arrays.
    check("ints[\"a\"] == 1", "can only access array field with integer index");
    check("ints[0][1] == 1", "can only access array field with integer index");
    check("ints > 1", "can not comparisons array fields directly");
    check("ints > [1]", "can not comparisons array fields directly");
    check("1 < ints < 2", "can not comparisons array fields directly");
    check("ints + 1 == 2", "can not comparisons array fields directly");
    check("texts like 'a'", "can not comparisons array fields directly");
    check("texts =~ 'a'", "can not comparisons array fields directly");
    check("ints like 'a'", "like operation on non-string or no-json field is unsupported");
    check("ints[0] =~ 'a'", "regex match on non-string or non-json field is unsupported");
    check("ints == 1", "cannot cast value to Array, value: int64_val:1");
    check("ints == 'a'", "comparisons between Array[Int32] and VarChar are not supported");
    check("ints == ['a']", "comparisons between Array[Int32] and Array[VarChar] are not supported");
    check("ints[0] == 'a'", "comparisons between Array[Int32] and VarChar are not supported");
    check("ints[0] in ['a']", "value 'string_val:\"a\"' in list cannot be casted to Int32");
    check("ints in [1]", "value 'int64_val:1' in list cannot be casted to Array");
    check("ints[0] == id", "field-to-field comparison involving ARRAY fields is not supported");
    check("ints == texts", "field-to-field comparison involving ARRAY fields is not supported");
    check("ints[0] is null", "IsNull/IsNotNull operations are not supported on array element access, got: ints[0]");
    check("exists ints", "exists operations are only supportted on json field, got:Array[Int32]");
    check("array_contains(ints, 'a')", "Contains operation can't compare between array element type: Int32 and VarChar");
    check("array_contains(ints, [1])", "Contains operation can't compare between array element type: Int32 and Array");
    check("array_contains_all(ints, ['a'])", "ContainsAll operation can't compare between array element type: Int32 and VarChar");
    check("array_contains_any(texts, [true])", "ContainsAny operation can't compare between array element type: VarChar and Bool");
    check("array_contains_all(ints, 1)", "ContainsAll operation element must be an array");
    check("array_length(ints[0]) == 1", "array_length operation are only supported on json or array fields now, got: Array[Int32]");
    check("array_length(ints) == 'a'", "comparisons between Int64 and VarChar are not supported");
    check("ints", "predicate is not a boolean expression: ints, data type: Array[Int32]");
    // Names.
    check("id[\"a\"] == 1", "Int64 data type not supported accessed with []");
    // Templates.
    check("id == {gone}", "the value of expression template variable name {gone} is not found");
    check("id == {nil}", "the value of expression template variable {nil} is nil");
    check("id == {bytes}", "the value of expression template variable {bytes} is bytes, which no operator takes");
    check("id in {one}", "the value of term expression template variable {one} is not array");
    check("id in {floats}", "value 'float_val:1' in list cannot be casted to Int64");
    check("s like {one}", "the value of like expression template variable {one} is not string");
    check("id == {word}", "cannot cast value to Int64, value: string_val:\"w\"");
    check("s > {one}", "cannot cast value to VarChar, value: int64_val:1");
    check("{one} == 1", "placeholder was not supported between two constants with operator: ==");
    check("json_contains_all(j, {one})", "ContainsAll operation element must be an array");
    check("1 == 1 and {one} < {one}", "placeholder was not supported between two constants with operator: <");
    // Syntax.
    check("id inn [1, 2]", "line 1:3 mismatched input 'inn' expecting <EOF>");
    check("id = 1", "line 1:3 mismatched input '=' expecting <EOF>");
    check("id == 1 and", "line 1:11 mismatched input '<EOF>' expecting an operand");
    check("id == @", "line 1:6 token recognition error at: '@'");
    check("id Is Null", "line 1:3 mismatched input 'Is' expecting <EOF>");
    check("s like id", "line 1:7 mismatched input 'id' expecting a string literal or template variable");
    check("1 < 2 < 3", "comparison operations cannot be applied to two incompatible operands: bool_val:true < int64_val:3");
}

#[test]
fn names_without_a_dynamic_field() {
    let check = |text: &str, cause: &str| {
        let error = Plan::compile(text, &strict_schema(), &options()).expect_err(text);
        assert_eq!(error.reason(), format!("cannot parse expression: {text}: {cause}: query plan failed: invalid parameter"));
    };
    check("color == 'red'", "cannot parse identifier: color: field color not exist");
    check("$meta[\"color\"] == 'red'", "cannot parse identifier: $meta: field $meta not exist");
    check("RowID == 1", "cannot parse identifier: RowID: field RowID not exist");
    check("color is null", "cannot parse identifier: color: field color not exist");
}
