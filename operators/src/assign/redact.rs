//! Redaction: what a secret rule reads is replaced before anything is stored.

use crate::point::Base;

/// Whether a rule that reads here may be secret: what routes a request, or names what it does,
/// cannot be.
pub(super) fn can_be_secret(base: &Base) -> bool {
    !matches!(
        base,
        Base::Method
            | Base::Host
            | Base::Status
            | Base::App
            | Base::RpcMethod
            | Base::McpTool
            | Base::GqlOperation
    )
}
