from clerks.materials.models.library import (
    Favourite,
    Material,
    MaterialCategory,
    MaterialFile,
    MaterialUpload,
    MaterialVersion,
    Scene,
    UploadedFile,
)
from clerks.materials.models.posters import PosterPicture, PosterTemplate
from clerks.materials.models.shares import Opening, Share, ShareDay, ShareSale, Visitor

__all__ = [
    "Favourite",
    "Material",
    "MaterialCategory",
    "MaterialFile",
    "MaterialUpload",
    "MaterialVersion",
    "Opening",
    "PosterPicture",
    "PosterTemplate",
    "Scene",
    "Share",
    "ShareDay",
    "ShareSale",
    "UploadedFile",
    "Visitor",
]
