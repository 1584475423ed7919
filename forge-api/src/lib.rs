//! forge-api
