//! What a transaction answers. Cassandra says `[applied]` alone where it was carried out, and what it found where not; Scylla
//! says all columns in either case, empty ones for a row that is not there, and of a batch a row for each statement.

use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row};

use super::requests::Failed;

/// How the first column is called.
const APPLIED: &str = "[applied]";

/// What a transaction came to.
#[derive(Debug, PartialEq)]
pub(super) enum Transaction {
    /// It was carried out.
    Applied,
    /// It was not; these rows were found.
    Refused(Vec<Found>),
}

/// A row that a transaction found, by its columns.
#[derive(Debug, PartialEq)]
pub(super) struct Found(Vec<(String, CqlValue)>);

impl Found {
    fn value(&self, column: &str) -> Option<&CqlValue> {
        self.0.iter().find(|(name, _)| name == column).map(|(_, value)| value)
    }

    /// A whole number of any width.
    pub(super) fn number(&self, column: &str) -> Option<i64> {
        match self.value(column)? {
            CqlValue::TinyInt(value) => Some(i64::from(*value)),
            CqlValue::SmallInt(value) => Some(i64::from(*value)),
            CqlValue::BigInt(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn text(&self, column: &str) -> Option<&str> {
        self.value(column)?.as_text().map(String::as_str)
    }
}

/// Reads the answer of a transaction.
pub(super) fn read(result: QueryResult) -> Result<Transaction, Failed> {
    let rows = result.into_rows_result().map_err(Failed::form)?;
    let columns: Vec<_> = rows.column_specs().iter().map(|column| column.name().to_owned()).collect();
    let found: Result<Vec<Row>, _> = rows.rows::<Row>().map_err(Failed::form)?.collect();
    judge(&columns, found.map_err(Failed::form)?)
}

fn judge(columns: &[String], rows: Vec<Row>) -> Result<Transaction, Failed> {
    let mut applied = None;
    let mut found = Vec::new();
    for row in rows {
        let mut here = None;
        let mut values = Vec::new();
        for (column, value) in columns.iter().zip(row.columns) {
            match value {
                Some(CqlValue::Boolean(value)) if column == APPLIED => here = Some(value),
                Some(value) => values.push((column.clone(), value)),
                None => {}
            }
        }
        let here = here.ok_or_else(|| Failed::form("a transaction does not say whether it was carried out"))?;
        // A batch is carried out as a whole.
        applied = Some(applied.unwrap_or(true) && here);
        found.push(Found(values));
    }
    match applied {
        Some(true) => Ok(Transaction::Applied),
        Some(false) => Ok(Transaction::Refused(found.into_iter().filter(|found| !found.0.is_empty()).collect())),
        None => Err(Failed::form("a transaction has no answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn row(applied: bool, values: [Option<i64>; 2]) -> Row {
        let values = values.into_iter().map(|value| value.map(CqlValue::BigInt));
        Row { columns: [Some(CqlValue::Boolean(applied))].into_iter().chain(values).collect() }
    }

    fn found(pairs: &[(&str, i64)]) -> Found {
        Found(pairs.iter().map(|(name, value)| ((*name).to_owned(), CqlValue::BigInt(*value))).collect())
    }

    const BOTH: [&str; 3] = [APPLIED, "incarnation", "epoch"];

    #[test]
    fn cassandras_form() {
        let alone = Row { columns: vec![Some(CqlValue::Boolean(true))] };
        assert_eq!(judge(&names(&[APPLIED]), vec![alone]).expect("a form"), Transaction::Applied);
        // Nothing was found where the condition is about a row that is not there.
        let alone = Row { columns: vec![Some(CqlValue::Boolean(false))] };
        assert_eq!(judge(&names(&[APPLIED]), vec![alone]).expect("a form"), Transaction::Refused(Vec::new()));
        let refused = judge(&names(&BOTH), vec![row(false, [Some(4), Some(7)])]).expect("a form");
        assert_eq!(refused, Transaction::Refused(vec![found(&[("incarnation", 4), ("epoch", 7)])]));
    }

    #[test]
    fn scyllas_form() {
        let applied = judge(&names(&BOTH), vec![row(true, [Some(4), Some(7)])]).expect("a form");
        assert_eq!(applied, Transaction::Applied);
        let applied = judge(&names(&BOTH), vec![row(true, [None, None]), row(true, [Some(1), Some(2)])]);
        assert_eq!(applied.expect("a form"), Transaction::Applied, "a batch over a row that was not there");
        let refused = judge(&names(&BOTH), vec![row(false, [None, None]), row(false, [Some(4), Some(7)])]);
        let refused = refused.expect("a form");
        assert_eq!(refused, Transaction::Refused(vec![found(&[("incarnation", 4), ("epoch", 7)])]));
    }

    #[test]
    fn what_is_neither_is_no_answer() {
        assert!(judge(&names(&BOTH), Vec::new()).is_err());
        let unsaid = Row { columns: vec![None, Some(CqlValue::BigInt(1)), None] };
        assert!(judge(&names(&BOTH), vec![unsaid]).is_err());
    }
}
