//! Writing the index of PostgreSQL: entries in blocks, by their numbers, and each word behind its block.

use std::fmt::Write as _;

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::super::Result;
use super::{Document, facets};

/// Entries of a block when the next one is begun, which then takes all that is newer.
const BLOCK: i64 = 4096;

/// Entries with numbers from `first` up to the first of the next block.
#[derive(Debug, Clone, QueryableByName)]
struct Block {
    #[diesel(sql_type = BigInt)]
    block: i64,
    #[diesel(sql_type = BigInt)]
    first: i64,
    /// The greatest number that was ever put into it.
    #[diesel(sql_type = BigInt)]
    last: i64,
    /// Entries that it has now.
    #[diesel(sql_type = BigInt)]
    entries: i64,
}

/// Takes entries out of the index, and puts others in.
pub(super) async fn replace(
    c: &mut AsyncPgConnection,
    gone: &[String],
    documents: &[Document],
) -> Result<()> {
    // Of two who write at once, one comes after: else both could begin a block, each without the other's numbers.
    diesel::sql_query("SELECT block FROM search_blocks WHERE block = 0 FOR UPDATE").execute(c).await?;
    take_out(c, gone).await?;
    let Some(lowest) = documents.iter().map(|d| d.number).min() else { return Ok(()) };
    let mut blocks: Vec<Block> = diesel::sql_query(
        "SELECT block, first, last, entries FROM search_blocks \
         WHERE first >= (SELECT MAX(first) FROM search_blocks WHERE first <= $1) ORDER BY first",
    )
    .bind::<BigInt, _>(lowest)
    .load(c)
    .await?;
    let placed = place(&mut blocks, documents);
    put_in(c, documents, &placed).await?;
    diesel::sql_query(
        "INSERT INTO search_blocks (block, first, last, entries) SELECT * FROM unnest($1, $2, $3, $4) \
         ON CONFLICT (block) DO UPDATE SET last = excluded.last, entries = excluded.entries",
    )
    .bind::<Array<BigInt>, _>(blocks.iter().map(|b| b.block).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(blocks.iter().map(|b| b.first).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(blocks.iter().map(|b| b.last).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(blocks.iter().map(|b| b.entries).collect::<Vec<_>>())
    .execute(c)
    .await?;
    Ok(())
}

/// The block of each document. Begins another one where the newest is full.
fn place(blocks: &mut Vec<Block>, documents: &[Document]) -> Vec<i64> {
    if let Some(newest) = blocks.last().filter(|b| b.entries >= BLOCK && b.last < i64::MAX) {
        let first = newest.last.max(newest.first) + 1;
        blocks.push(Block { block: newest.block + 1, first, last: first, entries: 0 });
    }
    let mut placed = Vec::with_capacity(documents.len());
    for document in documents {
        let nth = blocks.partition_point(|b| b.first <= document.number).saturating_sub(1);
        if let Some(block) = blocks.get_mut(nth) {
            block.entries += 1;
            block.last = block.last.max(document.number);
            placed.push(block.block);
        }
    }
    placed
}

/// Takes entries out, and the blocks that lose their last one by that: what came before takes their numbers.
async fn take_out(c: &mut AsyncPgConnection, gone: &[String]) -> Result<()> {
    let emptier = diesel::sql_query(
        "WITH gone AS (DELETE FROM search_entries WHERE row_id = ANY ($1) RETURNING block), \
         counted AS (SELECT block, COUNT(*) AS entries FROM gone GROUP BY block) \
         UPDATE search_blocks SET entries = search_blocks.entries - counted.entries \
         FROM counted WHERE search_blocks.block = counted.block",
    )
    .bind::<Array<Text>, _>(gone.to_vec())
    .execute(c)
    .await?;
    if emptier > 0 {
        diesel::sql_query(
            "DELETE FROM search_blocks WHERE entries <= 0 AND block > 0 \
             AND block < (SELECT MAX(block) FROM search_blocks)",
        )
        .execute(c)
        .await?;
    }
    Ok(())
}

async fn put_in(c: &mut AsyncPgConnection, documents: &[Document], placed: &[i64]) -> Result<()> {
    let texts = |of: fn(&Document) -> &str| documents.iter().map(of).collect::<Vec<_>>();
    let words: Vec<String> = documents.iter().zip(placed).map(|(d, block)| behind(*block, d)).collect();
    diesel::sql_query(
        "INSERT INTO search_entries (number, kind, row_id, organisation_id, project_id, set_id, block, words) \
         SELECT number, kind, row_id, organisation_id, project_id, set_id, block, \
         array_to_tsvector(string_to_array(words, ' ')) \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) \
         AS given (number, kind, row_id, organisation_id, project_id, set_id, block, words)",
    )
    .bind::<Array<BigInt>, _>(documents.iter().map(|d| d.number).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(texts(|d| d.kind))
    .bind::<Array<Text>, _>(texts(|d| &d.row_id))
    .bind::<Array<Text>, _>(texts(|d| &d.organisation_id))
    .bind::<Array<Text>, _>(texts(|d| &d.project_id))
    .bind::<Array<Nullable<Text>>, _>(documents.iter().map(|d| d.set_id.as_deref()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(placed.to_vec())
    .bind::<Array<Text>, _>(words)
    .execute(c)
    .await?;
    Ok(())
}

/// Every word of a document behind its block: of everything, of names and tags, and whose, where and what it is.
fn behind(block: i64, document: &Document) -> String {
    let mut out = String::with_capacity(2 * document.words.len());
    for (sort, words) in [('.', &document.words), ('-', &document.names), ('_', &facets(document))] {
        for word in words.split(' ').filter(|w| !w.is_empty()) {
            let space = if out.is_empty() { "" } else { " " };
            // Writing into a text cannot fail.
            let _ = write!(out, "{space}{block}{sort}{word}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(number: i64) -> Document {
        Document {
            number,
            kind: "prompt",
            row_id: number.to_string(),
            organisation_id: "0-1".into(),
            project_id: "p".into(),
            set_id: None,
            names: "tone".into(),
            words: "hello tone".into(),
        }
    }

    #[test]
    fn a_full_block_is_followed_by_one_for_all_that_is_newer() {
        let mut blocks = vec![Block { block: 0, first: i64::MIN, last: 70, entries: BLOCK - 1 }];
        assert_eq!(place(&mut blocks, &[document(90), document(80)]), [0, 0]);
        assert_eq!((blocks.len(), blocks[0].last, blocks[0].entries), (1, 90, BLOCK + 1));
        // What is older than the end of the first one stays with it, whenever it comes.
        assert_eq!(
            place(&mut blocks, &[document(91), document(90), document(5), document(200)]),
            [1, 0, 0, 1]
        );
        assert_eq!((blocks[1].first, blocks[1].last, blocks[1].entries), (91, 200, 2));
        assert_eq!(place(&mut blocks, &[document(300)]), [1]);
    }

    #[test]
    fn each_word_stands_behind_its_block_by_its_sort() {
        assert_eq!(behind(12, &document(1)), "12.hello 12.tone 12-tone 12_o01 12_pp 12_kprompt");
    }
}
