//! Every table, once, for both databases. The columns stand in the order of the migrations.

diesel::table! {
    organisations (id) {
        id -> Text,
        slug -> Text,
        name -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        email -> Text,
        name -> Text,
        password_hash -> Nullable<Text>,
        disabled -> Bool,
        created_at -> BigInt,
        proven_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    memberships (organisation_id, user_id) {
        organisation_id -> Text,
        user_id -> Text,
        role -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        user_id -> Text,
        token_hash -> Text,
        user_agent -> Text,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        expires_at -> BigInt,
        address -> Text,
    }
}

diesel::table! {
    api_tokens (id) {
        id -> Text,
        user_id -> Text,
        organisation_id -> Text,
        name -> Text,
        role -> Text,
        token_hash -> Text,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        last_used_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
        scopes -> Text,
        projects -> Nullable<Text>,
    }
}

diesel::table! {
    set_up_links (token_hash) {
        token_hash -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    sign_in_links (id) {
        id -> Text,
        user_id -> Text,
        token_hash -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
        mailed -> Bool,
    }
}

diesel::table! {
    projects (id) {
        id -> Text,
        organisation_id -> Text,
        slug -> Text,
        name -> Text,
        description -> Text,
        publications -> BigInt,
        created_at -> BigInt,
        max_age_seconds -> Nullable<BigInt>,
        max_age_action -> Nullable<Text>,
        archived_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    environments (id) {
        id -> Text,
        project_id -> Text,
        slug -> Text,
        name -> Text,
        position -> BigInt,
        takes_drafts -> Bool,
        created_at -> BigInt,
    }
}

diesel::table! {
    prompt_sets (id) {
        id -> Text,
        project_id -> Text,
        slug -> Text,
        name -> Text,
        description -> Text,
        state -> Text,
        revision -> BigInt,
        reviews -> BigInt,
        snapshots -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        updated_by -> Text,
        tags -> Text,
        archived_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    prompts (id) {
        id -> Text,
        set_id -> Text,
        prompt_id -> Text,
        body -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        updated_by -> Text,
    }
}

diesel::table! {
    prompt_revisions (id) {
        id -> Text,
        set_id -> Text,
        prompt_id -> Text,
        revision -> BigInt,
        body -> Nullable<Text>,
        author -> Text,
        created_at -> BigInt,
        message -> Text,
        renamed_from -> Nullable<Text>,
    }
}

diesel::table! {
    partial_revisions (id) {
        id -> Text,
        set_id -> Text,
        name -> Text,
        revision -> BigInt,
        source -> Nullable<Text>,
        author -> Text,
        created_at -> BigInt,
        message -> Text,
        renamed_from -> Nullable<Text>,
    }
}

diesel::table! {
    partials (id) {
        id -> Text,
        set_id -> Text,
        name -> Text,
        source -> Text,
        revision -> BigInt,
        updated_at -> BigInt,
        updated_by -> Text,
    }
}

diesel::table! {
    search_entries (number) {
        number -> BigInt,
        kind -> Text,
        row_id -> Text,
        organisation_id -> Text,
        project_id -> Text,
        set_id -> Nullable<Text>,
    }
}

diesel::table! {
    search_stale (kind, row_id) {
        kind -> Text,
        row_id -> Text,
    }
}

diesel::table! {
    favourites (user_id, row_id) {
        user_id -> Text,
        kind -> Text,
        row_id -> Text,
        organisation_id -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    visits (user_id, row_id) {
        user_id -> Text,
        kind -> Text,
        row_id -> Text,
        organisation_id -> Text,
        seen_at -> BigInt,
    }
}

diesel::table! {
    variable_sets (id) {
        id -> Text,
        set_id -> Text,
        prompt_id -> Text,
        name -> Text,
        body -> Text,
        updated_at -> BigInt,
        updated_by -> Text,
        revision -> BigInt,
    }
}

diesel::table! {
    versions (id) {
        id -> Text,
        set_id -> Text,
        version -> Text,
        kind -> Text,
        digest -> Text,
        body -> Binary,
        size -> BigInt,
        prompts -> BigInt,
        notes -> Text,
        author -> Text,
        approver -> Nullable<Text>,
        created_at -> BigInt,
    }
}

diesel::table! {
    aliases (set_id, name) {
        set_id -> Text,
        name -> Text,
        version_id -> Text,
        updated_at -> BigInt,
        updated_by -> Text,
        protected -> Bool,
    }
}

diesel::table! {
    set_requirements (set_id, dependency_id) {
        set_id -> Text,
        dependency_id -> Text,
        requirement -> Text,
        updated_at -> BigInt,
        updated_by -> Text,
    }
}

diesel::table! {
    environment_rules (environment_id) {
        environment_id -> Text,
        approvals -> BigInt,
        not_author -> Bool,
        roles -> Text,
        updated_at -> BigInt,
        updated_by -> Text,
    }
}

diesel::table! {
    dependencies (version_id, set_id) {
        version_id -> Text,
        set_id -> Text,
        requirement -> Text,
        resolved_version_id -> Text,
    }
}

diesel::table! {
    reviews (id) {
        id -> Text,
        set_id -> Text,
        number -> BigInt,
        digest -> Text,
        title -> Text,
        state -> Text,
        requested_by -> Text,
        requested_by_id -> Text,
        requested_at -> BigInt,
        closed_at -> Nullable<BigInt>,
        message -> Text,
        base_version_id -> Nullable<Text>,
    }
}

diesel::table! {
    review_contents (review_id) {
        review_id -> Text,
        body -> Binary,
    }
}

diesel::table! {
    review_reviewers (review_id, user_id) {
        review_id -> Text,
        user_id -> Text,
    }
}

diesel::table! {
    review_comments (id) {
        id -> Text,
        review_id -> Text,
        prompt_id -> Nullable<Text>,
        line -> Nullable<BigInt>,
        body -> Text,
        author -> Text,
        created_at -> BigInt,
        author_id -> Text,
        answers -> Nullable<Text>,
        settled_at -> Nullable<BigInt>,
        settled_by -> Nullable<Text>,
    }
}

diesel::table! {
    review_seen (set_id, user_id, kind, name, digest) {
        set_id -> Text,
        user_id -> Text,
        kind -> Text,
        name -> Text,
        digest -> Text,
        seen_at -> BigInt,
    }
}

diesel::table! {
    approvals (id) {
        id -> Text,
        review_id -> Text,
        digest -> Text,
        verdict -> Text,
        user_id -> Text,
        created_at -> BigInt,
        by_author -> Bool,
        comment -> Text,
    }
}

diesel::table! {
    publications (id) {
        id -> Text,
        project_id -> Text,
        environment_id -> Text,
        set_id -> Text,
        version_id -> Text,
        number -> BigInt,
        serial -> BigInt,
        rollback -> Bool,
        certificate -> Text,
        attestation -> Text,
        state -> Text,
        error -> Nullable<Text>,
        stream_sequence -> Nullable<BigInt>,
        comment -> Text,
        published_by -> Text,
        created_at -> BigInt,
        sent_at -> Nullable<BigInt>,
        trust -> Nullable<Text>,
        overridden -> Nullable<Text>,
    }
}

diesel::table! {
    heads (environment_id, set_id) {
        environment_id -> Text,
        set_id -> Text,
        serial -> BigInt,
        publication_id -> Nullable<Text>,
    }
}

diesel::table! {
    dismissals (organisation_id, user_id, what) {
        organisation_id -> Text,
        user_id -> Text,
        what -> Text,
        dismissed_at -> BigInt,
    }
}

diesel::table! {
    outbox (publication_id) {
        publication_id -> Text,
        created_at -> BigInt,
        not_before -> BigInt,
        attempts -> BigInt,
        lease_owner -> Nullable<Text>,
        lease_until -> BigInt,
        last_error -> Nullable<Text>,
    }
}

diesel::table! {
    credentials (id) {
        id -> Text,
        project_id -> Text,
        environment_id -> Text,
        name -> Text,
        kind -> Text,
        public_key -> Text,
        created_by -> Text,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
        revoked_by -> Nullable<Text>,
        last_seen_at -> Nullable<BigInt>,
        purpose -> Text,
        last_seen_agent -> Nullable<Text>,
        last_seen_address -> Nullable<Text>,
    }
}

diesel::table! {
    agents (environment_id, name) {
        environment_id -> Text,
        name -> Text,
        identity -> Text,
        host -> Text,
        service -> Text,
        agent_version -> Text,
        mode -> Text,
        stale -> Bool,
        stream_floor -> BigInt,
        cache -> Text,
        status -> Text,
        consumer -> Nullable<Text>,
        started_at -> BigInt,
        first_seen_at -> BigInt,
        last_seen_at -> BigInt,
        disconnected_at -> Nullable<BigInt>,
        mode_by -> Text,
        order_number -> Nullable<BigInt>,
        order_result -> Nullable<Text>,
        contracts_kept -> Bool,
    }
}

diesel::table! {
    mode_orders (environment_id, number) {
        environment_id -> Text,
        number -> BigInt,
        target_kind -> Text,
        target_name -> Text,
        mode -> Text,
        given_by -> Text,
        reason -> Text,
        given_at -> BigInt,
    }
}

diesel::table! {
    acknowledgements (publication_id, agent) {
        publication_id -> Text,
        agent -> Text,
        state -> Text,
        reason_code -> Nullable<Text>,
        reason -> Nullable<Text>,
        activated_at -> Nullable<BigInt>,
        answered_at -> BigInt,
    }
}

diesel::table! {
    agent_told (environment_id, agent, what) {
        environment_id -> Text,
        agent -> Text,
        what -> Text,
        token -> Text,
        told_at -> BigInt,
        ended -> Bool,
    }
}

diesel::table! {
    audit_tips (organisation_id) {
        organisation_id -> Text,
        sequence -> BigInt,
        hash -> Text,
    }
}

diesel::table! {
    audit_log (organisation_id, sequence) {
        organisation_id -> Text,
        sequence -> BigInt,
        at -> BigInt,
        actor_id -> Text,
        actor_name -> Text,
        action -> Text,
        subject -> Text,
        detail -> Text,
        previous_hash -> Text,
        hash -> Text,
        seal -> Text,
    }
}

diesel::table! {
    keys (name) {
        name -> Text,
        public_key -> Text,
        sealed -> Binary,
        created_at -> BigInt,
    }
}

diesel::table! {
    signing_keys (public_key) {
        public_key -> Text,
        kind -> Text,
        project_id -> Nullable<Text>,
        state -> Text,
        created_at -> BigInt,
        retired_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    trust_lists (project_id, version) {
        project_id -> Text,
        version -> BigInt,
        line -> Text,
        link -> Bool,
        created_at -> BigInt,
    }
}

diesel::table! {
    settings (name) {
        name -> Text,
        value -> Text,
        updated_at -> BigInt,
    }
}

diesel::table! {
    contracts (environment_id, digest) {
        environment_id -> Text,
        digest -> Text,
        set_slug -> Text,
        version -> Text,
        body -> Text,
        size -> BigInt,
    }
}

diesel::table! {
    agent_contracts (environment_id, agent, digest) {
        environment_id -> Text,
        agent -> Text,
        digest -> Text,
        set_slug -> Text,
        announced_at -> BigInt,
    }
}

diesel::table! {
    usage_hours (environment_id, set_id, hour, version_id, prompt) {
        environment_id -> Text,
        set_id -> Text,
        hour -> BigInt,
        version_id -> Text,
        prompt -> Text,
        renders -> BigInt,
        errors -> BigInt,
        render_p50_ns -> BigInt,
        render_p99_ns -> BigInt,
        calls -> BigInt,
        call_errors -> BigInt,
        input_tokens -> BigInt,
        output_tokens -> BigInt,
        latency_us -> BigInt,
        cost_micros -> BigInt,
    }
}

diesel::table! {
    usage_lives (environment_id, agent, started_at) {
        environment_id -> Text,
        agent -> Text,
        started_at -> BigInt,
        heard_at -> BigInt,
        prompts -> BigInt,
    }
}

diesel::table! {
    usage_seen (environment_id, agent, started_at, version_id, prompt) {
        environment_id -> Text,
        agent -> Text,
        started_at -> BigInt,
        version_id -> Text,
        prompt -> Text,
        renders -> BigInt,
        errors -> BigInt,
        calls -> BigInt,
        call_errors -> BigInt,
        input_tokens -> BigInt,
        output_tokens -> BigInt,
        latency_us -> BigInt,
        cost_micros -> BigInt,
    }
}

diesel::table! {
    standing_orders (environment_id, target_kind, target_name) {
        environment_id -> Text,
        target_kind -> Text,
        target_name -> Text,
        number -> BigInt,
    }
}

diesel::table! {
    project_grants (project_id, user_id) {
        project_id -> Text,
        user_id -> Text,
        role -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    prompt_notes (prompt_row) {
        prompt_row -> Text,
        set_id -> Text,
        body -> Text,
        revision -> BigInt,
        updated_at -> BigInt,
        updated_by -> Text,
    }
}

diesel::table! {
    invitations (id) {
        id -> Text,
        organisation_id -> Text,
        email -> Text,
        role -> Nullable<Text>,
        token_hash -> Text,
        invited_by -> Text,
        invited_by_id -> Text,
        mail -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        outcome -> Nullable<Text>,
        mail_error -> Nullable<Text>,
    }
}

diesel::table! {
    invitation_grants (invitation_id, project_id) {
        invitation_id -> Text,
        project_id -> Text,
        role -> Text,
    }
}

diesel::table! {
    link_requests (user_id) {
        user_id -> Text,
        asked_at -> BigInt,
        address -> Text,
    }
}

diesel::table! {
    identities (issuer, subject) {
        issuer -> Text,
        subject -> Text,
        user_id -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    mails (id) {
        id -> Text,
        invitation_id -> Nullable<Text>,
        recipient -> Text,
        subject -> Text,
        sealed -> Binary,
        attempts -> BigInt,
        due_at -> BigInt,
        give_up_at -> BigInt,
    }
}

diesel::table! {
    prompt_redirects (set_id, kind, old_id) {
        set_id -> Text,
        kind -> Text,
        old_id -> Text,
        prompt_row -> Text,
        created_at -> BigInt,
        created_by -> Text,
    }
}

diesel::table! {
    archived_prompts (id) {
        id -> Text,
        set_id -> Text,
        kind -> Text,
        name -> Text,
        body -> Text,
        revision -> BigInt,
        created_at -> BigInt,
        archived_at -> BigInt,
        archived_by -> Text,
    }
}

diesel::table! {
    project_imports (id) {
        id -> Text,
        project_id -> Text,
        name -> Text,
        body -> Binary,
        created_by -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    version_origins (version_id) {
        version_id -> Text,
        organisation -> Text,
        project -> Text,
        prompt_set -> Text,
        digest -> Text,
        approver -> Nullable<Text>,
        imported_by -> Text,
        imported_at -> BigInt,
    }
}

diesel::table! {
    revision_origins (revision_id) {
        revision_id -> Text,
        set_id -> Text,
        imported_by -> Text,
        imported_at -> BigInt,
    }
}

diesel::table! {
    imports (id) {
        id -> Text,
        set_id -> Text,
        name -> Text,
        format -> Text,
        body -> Binary,
        created_by -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    idempotency_keys (user_id, key) {
        user_id -> Text,
        key -> Text,
        request -> Text,
        status -> BigInt,
        content_type -> Nullable<Text>,
        answer -> Nullable<Binary>,
        created_at -> BigInt,
    }
}

diesel::table! {
    webhooks (id) {
        id -> Text,
        organisation_id -> Text,
        project_id -> Nullable<Text>,
        name -> Text,
        url -> Text,
        kind -> Text,
        events -> Text,
        secret -> Binary,
        enabled -> Bool,
        created_by -> Text,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    webhook_deliveries (id) {
        id -> Text,
        webhook_id -> Text,
        event -> Text,
        subject -> Text,
        payload -> Text,
        state -> Text,
        attempts -> BigInt,
        not_before -> BigInt,
        lease_until -> BigInt,
        created_at -> BigInt,
        sent_at -> Nullable<BigInt>,
        status -> Nullable<BigInt>,
        duration_us -> Nullable<BigInt>,
        answer -> Nullable<Text>,
        error -> Nullable<Text>,
    }
}

// Only what really meets in one query: the compiler holds each pair of a list against each other, and one list of all
// tables was most of what it took to check this crate. Each pair stands here once.
diesel::allow_tables_to_appear_in_same_query!(organisations, projects, environments);
diesel::allow_tables_to_appear_in_same_query!(organisations, memberships);
diesel::allow_tables_to_appear_in_same_query!(users, memberships);
diesel::allow_tables_to_appear_in_same_query!(users, sessions);
diesel::allow_tables_to_appear_in_same_query!(users, api_tokens);
diesel::allow_tables_to_appear_in_same_query!(users, sign_in_links);
diesel::allow_tables_to_appear_in_same_query!(credentials, environments);
diesel::allow_tables_to_appear_in_same_query!(credentials, projects);
diesel::allow_tables_to_appear_in_same_query!(prompt_sets, prompts);
diesel::allow_tables_to_appear_in_same_query!(publications, heads);
diesel::allow_tables_to_appear_in_same_query!(publications, environments);
diesel::allow_tables_to_appear_in_same_query!(publications, prompt_sets);
diesel::allow_tables_to_appear_in_same_query!(publications, projects);
diesel::allow_tables_to_appear_in_same_query!(heads, environments);
diesel::allow_tables_to_appear_in_same_query!(heads, projects);
diesel::allow_tables_to_appear_in_same_query!(heads, prompt_sets);
diesel::allow_tables_to_appear_in_same_query!(environments, prompt_sets);
diesel::allow_tables_to_appear_in_same_query!(acknowledgements, heads);
diesel::allow_tables_to_appear_in_same_query!(acknowledgements, publications);
diesel::allow_tables_to_appear_in_same_query!(acknowledgements, prompt_sets);
diesel::allow_tables_to_appear_in_same_query!(acknowledgements, environments);
diesel::allow_tables_to_appear_in_same_query!(acknowledgements, projects);
diesel::allow_tables_to_appear_in_same_query!(agents, environments);
diesel::allow_tables_to_appear_in_same_query!(agents, projects);
diesel::allow_tables_to_appear_in_same_query!(versions, prompt_sets);
diesel::allow_tables_to_appear_in_same_query!(versions, projects);
diesel::allow_tables_to_appear_in_same_query!(publications, outbox);
diesel::allow_tables_to_appear_in_same_query!(agents, usage_lives);
diesel::allow_tables_to_appear_in_same_query!(agents, agent_contracts);
diesel::allow_tables_to_appear_in_same_query!(contracts, agent_contracts);
diesel::allow_tables_to_appear_in_same_query!(projects, project_grants);
diesel::allow_tables_to_appear_in_same_query!(organisations, project_grants);
diesel::allow_tables_to_appear_in_same_query!(users, project_grants);
diesel::allow_tables_to_appear_in_same_query!(users, projects);
diesel::allow_tables_to_appear_in_same_query!(projects, invitation_grants);
diesel::allow_tables_to_appear_in_same_query!(users, link_requests);
diesel::allow_tables_to_appear_in_same_query!(users, identities);
diesel::allow_tables_to_appear_in_same_query!(memberships, link_requests);
diesel::allow_tables_to_appear_in_same_query!(reviews, prompt_sets, projects);
diesel::allow_tables_to_appear_in_same_query!(reviews, approvals);
diesel::allow_tables_to_appear_in_same_query!(reviews, review_reviewers);
diesel::allow_tables_to_appear_in_same_query!(approvals, prompt_sets);
diesel::allow_tables_to_appear_in_same_query!(approvals, projects);
diesel::allow_tables_to_appear_in_same_query!(review_reviewers, prompt_sets);
diesel::allow_tables_to_appear_in_same_query!(review_reviewers, projects);
diesel::allow_tables_to_appear_in_same_query!(organisations, prompt_sets);

// What one query groups by together, from different tables.
diesel::allow_columns_to_appear_in_same_group_by_clause!(versions::set_id, prompt_sets::project_id);
