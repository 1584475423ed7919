//! Writing the index of SQLite, in one visit to the connection's thread.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::super::schema::search_entries;
use super::{Document, facets};

/// Takes entries out of the index, and puts others in.
pub(super) fn replace(
    c: &mut SqliteConnection,
    gone: &[String],
    documents: Vec<Document>,
) -> QueryResult<()> {
    for id in gone {
        let entry = search_entries::table.filter(search_entries::row_id.eq(id));
        let numbers: Vec<i64> = entry.select(search_entries::number).load(c)?;
        for number in numbers {
            diesel::sql_query("DELETE FROM search_index WHERE rowid = ?")
                .bind::<BigInt, _>(number)
                .execute(c)?;
            diesel::delete(search_entries::table.find(number)).execute(c)?;
        }
    }
    for document in documents {
        let mut number = document.number;
        // A number that is taken: the next one is as good.
        while search_entries::table.find(number).count().get_result::<i64>(c)? > 0 {
            number += 1;
        }
        diesel::insert_into(search_entries::table)
            .values((
                search_entries::number.eq(number),
                search_entries::kind.eq(document.kind),
                search_entries::row_id.eq(&document.row_id),
                search_entries::organisation_id.eq(&document.organisation_id),
                search_entries::project_id.eq(&document.project_id),
                search_entries::set_id.eq(document.set_id.as_deref()),
            ))
            .execute(c)?;
        diesel::sql_query("INSERT INTO search_index (rowid, names, words, facets) VALUES (?, ?, ?, ?)")
            .bind::<BigInt, _>(number)
            .bind::<Text, _>(&document.names)
            .bind::<Text, _>(&document.words)
            .bind::<Text, _>(facets(&document))
            .execute(c)?;
    }
    Ok(())
}
