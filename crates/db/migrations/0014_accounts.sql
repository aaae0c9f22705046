-- What auth knows of logins beside directus_users. No foreign key: lines of users who are gone are swept.
CREATE TABLE eventus.logins (
    "user"   uuid    PRIMARY KEY,
    -- Attempts that failed since the last one that did not.
    failed   integer NOT NULL DEFAULT 0,
    -- When the last of them failed.
    failed_at timestamptz,
    -- The step of time of the last one-time password that was accepted: none of it or of one before is accepted again.
    otp_step bigint
);

-- Mails that go out, written in the transaction that decided so.
CREATE TABLE eventus.mails (
    id           uuid        PRIMARY KEY,
    kind         text        NOT NULL,
    -- Encrypted: recipient, subject and texts, for links live in them. Null once it is sent, or given up.
    sealed       text,
    -- About whom it is; of one who is not there yet it waits until he is.
    "user"       uuid,
    state        text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'dead')),
    attempts     integer     NOT NULL DEFAULT 0,
    created      timestamptz NOT NULL DEFAULT now(),
    -- What it says holds no longer than this.
    expires      timestamptz NOT NULL,
    next_attempt timestamptz NOT NULL DEFAULT now(),
    locked_until timestamptz,
    -- The last attempt, whatever came of it.
    attempted    timestamptz,
    finished     timestamptz,
    last_error   text
);
CREATE INDEX mails_due ON eventus.mails (next_attempt) WHERE state = 'pending';
CREATE INDEX mails_finished ON eventus.mails (finished) WHERE state <> 'pending';
CREATE INDEX mails_attempted ON eventus.mails (attempted);
CREATE INDEX mails_created ON eventus.mails (created);
CREATE INDEX mails_user ON eventus.mails ("user", created);
