//! Pool, migrations, error translation, leases, the control row: how Eventus speaks to PostgreSQL.
