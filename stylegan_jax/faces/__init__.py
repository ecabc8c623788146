"""Photos with faces in them: landmarks, alignment, quality, frames of a video."""
