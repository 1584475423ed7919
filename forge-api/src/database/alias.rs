//! Names that people give to versions.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::aliases;
use super::{Conn, Result, on};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = aliases)]
pub struct Alias {
    pub set_id: String,
    pub name: String,
    pub version_id: String,
    pub updated_at: i64,
    pub updated_by: String,
    /// Only who manages the project moves it.
    pub protected: bool,
}

/// The aliases of a set, by name.
pub async fn of_set(conn: &mut Conn, set_id: &str) -> Result<Vec<Alias>> {
    Ok(on!(conn, c => aliases::table
        .filter(aliases::set_id.eq(set_id))
        .order(aliases::name.asc())
        .select(Alias::as_select())
        .load(c).await?))
}

pub async fn put(conn: &mut Conn, row: &Alias) -> Result<()> {
    on!(conn, c => diesel::insert_into(aliases::table)
        .values(row)
        .on_conflict((aliases::set_id, aliases::name))
        .do_update()
        .set((
            aliases::version_id.eq(&row.version_id),
            aliases::updated_at.eq(row.updated_at),
            aliases::updated_by.eq(&row.updated_by),
            aliases::protected.eq(row.protected),
        ))
        .execute(c).await?);
    Ok(())
}

/// Takes an alias away; says whether there was one.
pub async fn delete(conn: &mut Conn, set_id: &str, name: &str) -> Result<bool> {
    Ok(on!(conn, c => diesel::delete(aliases::table
            .filter(aliases::set_id.eq(set_id))
            .filter(aliases::name.eq(name)))
        .execute(c).await?)
        == 1)
}
