-- Wrong passwords of shares, by where they came from: a share is open to the world, its password is not to be guessed. No
-- foreign key: lines are swept when they are old.
CREATE TABLE eventus.share_attempts (
    share   uuid        NOT NULL,
    address text        NOT NULL,
    -- When the first of them failed; they count together for a while from then on.
    since   timestamptz NOT NULL,
    failed  integer     NOT NULL,
    PRIMARY KEY (share, address)
);
CREATE INDEX share_attempts_since ON eventus.share_attempts (since);
