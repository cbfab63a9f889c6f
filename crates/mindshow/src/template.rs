//! Templates, and single-page "advanced" ones.

use jobs_core::Error;

use crate::client::Client;
use crate::envelope;
use crate::generated::types::{
    AdvanceTemplate, AdvanceTemplateAddRequest, AdvanceTemplateSetRequest, IdRequest, ListRequest,
    NoArguments, TagConfig, Template, TemplateListRequest, TemplateRequest,
};
use crate::operation::{
    ADVANCE_TEMPLATE_ADD, ADVANCE_TEMPLATE_DEL, ADVANCE_TEMPLATE_GET, ADVANCE_TEMPLATE_LIST,
    ADVANCE_TEMPLATE_SET, TAG_CFG, TEMPLATE_GET, TEMPLATE_LIST,
};
use crate::page::{Listing, Page, Pages};

/// All of these are free as far as the vendor says.
impl Client {
    /// A page of templates. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info).
    pub async fn list_templates(
        &self,
        request: &TemplateListRequest,
    ) -> Result<Page<Template>, Error> {
        let listing: Listing<Template> = self.api.read(TEMPLATE_LIST, request).await?;
        Ok(listing.into())
    }

    /// All templates that fit, page by page.
    pub fn template_pages(&self, request: &TemplateListRequest) -> Pages<Template> {
        Pages::new(&self.api, TEMPLATE_LIST, request)
    }

    /// One template. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info), and the vendor's refusal of an unknown id.
    pub async fn template(&self, template_id: &str) -> Result<Template, Error> {
        let request = TemplateRequest::new(template_id.to_owned());
        self.api
            .read_part(TEMPLATE_GET, &request, |answer, json| {
                envelope::decode_part(answer, json, &["item"], "template_id")
            })
            .await
    }

    /// The colours and scenes that templates can be filtered by. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info).
    pub async fn tag_cfg(&self) -> Result<TagConfig, Error> {
        self.api.read(TAG_CFG, &NoArguments::default()).await
    }

    /// Registers a single page as an advanced template. Sent once: the vendor knows no way to tell a repetition.
    ///
    /// `None` when the vendor's answer does not describe it; what the answer holds is not documented.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info). After a lost answer, look through the list before adding it again.
    pub async fn add_advance_template(
        &self,
        request: &AdvanceTemplateAddRequest,
    ) -> Result<Option<AdvanceTemplate>, Error> {
        let body = ADVANCE_TEMPLATE_ADD.json(request)?;
        let answer = self.api.send(ADVANCE_TEMPLATE_ADD.with_json(&body)).await?;
        let json = envelope::read(&answer, self.api.codes())?;
        Ok(envelope::decode_part(&answer, &json, &["item"], "id").ok())
    }

    /// A page of advanced templates, newest first. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info).
    pub async fn list_advance_templates(
        &self,
        request: &ListRequest,
    ) -> Result<Page<AdvanceTemplate>, Error> {
        let listing: Listing<AdvanceTemplate> =
            self.api.read(ADVANCE_TEMPLATE_LIST, request).await?;
        Ok(listing.into())
    }

    /// All advanced templates, page by page.
    pub fn advance_template_pages(&self, request: &ListRequest) -> Pages<AdvanceTemplate> {
        Pages::new(&self.api, ADVANCE_TEMPLATE_LIST, request)
    }

    /// One advanced template. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info), and the vendor's refusal of an unknown id.
    pub async fn advance_template(&self, id: &str) -> Result<AdvanceTemplate, Error> {
        let request = IdRequest::new(id.to_owned());
        self.api
            .read_part(ADVANCE_TEMPLATE_GET, &request, |answer, json| {
                envelope::decode_part(answer, json, &["item"], "id")
            })
            .await
    }

    /// Renames an advanced template. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info), and the vendor's refusal of an unknown id.
    pub async fn rename_advance_template(&self, id: &str, title: &str) -> Result<(), Error> {
        let request = AdvanceTemplateSetRequest::new(id.to_owned(), title.to_owned());
        self.api.order(ADVANCE_TEMPLATE_SET, &request).await
    }

    /// Deletes an advanced template. Free and harmless to repeat.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info), and the vendor's refusal of an unknown id.
    pub async fn delete_advance_template(&self, id: &str) -> Result<(), Error> {
        self.api
            .delete(ADVANCE_TEMPLATE_DEL, &IdRequest::new(id.to_owned()))
            .await
    }
}
