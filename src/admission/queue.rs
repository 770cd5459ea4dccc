//! The waiting demands: order, bounds, dispatch.
