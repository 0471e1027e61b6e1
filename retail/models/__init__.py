"""The facts of the retail group, and the tables of the services below them."""

from retail.approvals import Approval
from retail.audit import AuditRow
from retail.jobs import Job
from retail.models.catalog import Category, Product
from retail.models.channels import ApiCall, ApiToken, Channel
from retail.models.exports import ExportFile
from retail.models.orders import Order, OrderLine, OrderVersion, Refund, RefundVersion
from retail.models.org import Brand, Employment, Franchisee, Post, Region, Staff, StaffAccount, Store, StoreGroup, User
from retail.privacy import BuyerKey, Suppression
from retail.seals import Seal

__all__ = [
    "ApiCall",
    "ApiToken",
    "Approval",
    "AuditRow",
    "Brand",
    "BuyerKey",
    "Category",
    "Channel",
    "Employment",
    "ExportFile",
    "Franchisee",
    "Job",
    "Order",
    "OrderLine",
    "OrderVersion",
    "Post",
    "Product",
    "Refund",
    "RefundVersion",
    "Region",
    "Seal",
    "Staff",
    "StaffAccount",
    "Store",
    "StoreGroup",
    "Suppression",
    "User",
]
